import { output } from "../lab/run.ts"
import { LinkedPod } from "./bandwidth.ts"
import type { Command } from "./contender.ts"
import { type Rows, record } from "./rows.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"
import type { Cost } from "./stopwatch.ts"

const ADDRESS = "192.168.1.209/24"
const GATEWAY = "192.168.1.1"

/** A table for one address, with a default route and one more, of pods that are connected already. */
export function measureSbr(rows: Rows, { dir, runs }: Options): void {
  const both = (["reference", "ours"] as const).map((name) => [name, `${dir}/${name}`] as const)
  repeat(rows, runs, (target, run) => {
    const pods = { reference: connected(), ours: connected() }
    for (const command of COMMANDS) {
      for (const [side, bin] of turn(both, run)) record(target, `sbr ${command}`, side, call(bin, command, pods[side]))
    }
    for (const { veth } of Object.values(pods)) output(["ip", "link", "del", veth])
  })
}

function connected(): LinkedPod {
  const pod = new LinkedPod()
  const batch = `link set eth0 up\naddr add ${ADDRESS} dev eth0\nroute add 192.168.2.0/24 via 192.168.1.2\n`
  output(["ip", "link", "set", pod.veth, "up"])
  output(pod.namespace.inside(["ip", "-batch", "-"]), { stdin: batch })
  return pod
}

function call(bin: string, command: Command, pod: LinkedPod): Cost {
  const prevResult = {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox: pod.namespace.path }],
    ips: [{ address: ADDRESS, gateway: GATEWAY, interface: 0 }],
  }
  const config = { cniVersion: "1.0.0", name: "second", type: "sbr", prevResult }
  return pod.call(bin, command, config)
}
