import { output } from "../lab/run.ts"
import { type Command, type Cost, timed } from "./contender.ts"
import { Pod } from "./pod.ts"

/** A pod on a veth pair, whose host's end is named after it. */
export class LinkedPod extends Pod {
  readonly veth = `v${this.containerId}`

  constructor() {
    super()
    output(["ip", "link", "add", this.veth, "type", "veth", "peer", "name", "eth0", "netns", this.namespace.name])
  }
}

/** One implementation's `bandwidth`, which limits both directions of pods that are connected already. */
export class LimitContender {
  readonly #bin: string

  constructor(bin: string) {
    this.#bin = bin
  }

  call(command: Command, pod: LinkedPod): Cost {
    const { containerId, namespace, veth } = pod
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
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: namespace.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: this.#bin,
    }
    return timed([`${this.#bin}/bandwidth`], env, JSON.stringify(config))
  }
}
