import { output } from "../lab/run.ts"
import type { Command } from "./contender.ts"
import { Pod } from "./pod.ts"
import { type Rows, record } from "./rows.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"
import { type Cost, timed } from "./stopwatch.ts"

/** A pod on a veth pair, whose host end is named after it. */
export class LinkedPod extends Pod {
  readonly veth = `v${this.containerId}`

  constructor() {
    super()
    output(["ip", "link", "add", this.veth, "type", "veth", "peer", "name", "eth0", "netns", this.namespace.name])
  }

  /** Calls the plugin that the configuration names, about the pod's eth0. */
  call(bin: string, command: Command, config: { readonly type: string }): Cost {
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: this.containerId,
      CNI_NETNS: this.namespace.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: bin,
    }
    return timed({ argv: [`${bin}/${config.type}`], env, stdin: JSON.stringify(config) })
  }
}

/** One implementation's `bandwidth`, which limits both directions of pods that are connected already. */
export class LimitContender {
  readonly #bin: string

  constructor(bin: string) {
    this.#bin = bin
  }

  call(command: Command, pod: LinkedPod): Cost {
    const { namespace, veth } = pod
    const interfaces = [{ name: veth }, { name: "eth0", sandbox: namespace.path }]
    const limits = { ingressRate: 10_000_000, ingressBurst: 1_000_000, egressRate: 10_000_000, egressBurst: 1_000_000 }
    const config = {
      cniVersion: "1.0.0",
      name: "limits",
      type: "bandwidth",
      egressMode: "ifb", // what the Go plugin does
      runtimeConfig: { bandwidth: limits },
      prevResult: { cniVersion: "1.0.0", interfaces },
    }
    return pod.call(this.#bin, command, config)
  }
}

/** The limits of both directions, egress by ifb on both sides, of pods that are connected already. */
export function measureLimits(rows: Rows, { dir, runs }: Options): void {
  const both = (["reference", "ours"] as const).map((name) => [name, new LimitContender(`${dir}/${name}`)] as const)
  repeat(rows, runs, (target, run) => {
    const pods = { reference: new LinkedPod(), ours: new LinkedPod() }
    for (const command of COMMANDS) {
      const name = `bandwidth ${command}`
      for (const [side, contender] of turn(both, run)) record(target, name, side, contender.call(command, pods[side]))
    }
    for (const { veth } of Object.values(pods)) output(["ip", "link", "del", veth])
  })
}
