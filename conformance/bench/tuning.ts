import { output } from "../lab/run.ts"
import { LinkedPod } from "./bandwidth.ts"
import type { Command } from "./contender.ts"
import { type Rows, record } from "./rows.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"
import type { Cost } from "./stopwatch.ts"

/** Two sysctls, and the interface's MAC address and MTU, of pods that are connected already. */
export function measureTuning(rows: Rows, { dir, runs }: Options): void {
  const both = (["reference", "ours"] as const).map((name) => [name, `${dir}/${name}`] as const)
  repeat(rows, runs, (target, run) => {
    const pods = { reference: new LinkedPod(), ours: new LinkedPod() }
    for (const command of COMMANDS) {
      for (const [side, bin] of turn(both, run))
        record(target, `tuning ${command}`, side, call(bin, command, pods[side]))
    }
    for (const { veth } of Object.values(pods)) output(["ip", "link", "del", veth])
  })
}

function call(bin: string, command: Command, pod: LinkedPod): Cost {
  const mac = "02:00:00:00:00:7a"
  const config = {
    cniVersion: "1.0.0",
    name: "tuned",
    type: "tuning",
    sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
    mac,
    mtu: 1400,
    prevResult: { cniVersion: "1.0.0", interfaces: [{ name: "eth0", mac, sandbox: pod.namespace.path }] },
  }
  return pod.call(bin, command, config)
}
