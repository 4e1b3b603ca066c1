import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { readSysctls } from "../bridge/observed.ts"
import { ALL, backups, prepare, SYSCTL, settings, tuning } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const MAC = "02:00:00:00:00:7a"

/** The configuration, and CNI_ARGS if the case is about them. */
const NETWORKS: Readonly<Record<string, [config: Config, args?: string]>> = {
  "no keys": [{}],
  "a sysctl": [{ sysctl: { "net.ipv4.conf.all.log_martians": "1" } }],
  "a sysctl with slashes, and one of the interface": [{ sysctl: { "net/ipv4/vs/x": "1", [SYSCTL]: "1" } }],
  "a sysctl with slashes": [{ sysctl: { "net/ipv4/conf/IFNAME/arp_filter": "1" } }],
  "a sysctl from args beside one of the network's": [
    { sysctl: { [SYSCTL]: "1" }, args: { cni: { sysctl: { [SYSCTL]: "0", "net.ipv4.ip_forward": "1" } } } },
  ],
  promisc: [{ promisc: true }],
  "promisc false": [{ promisc: false }],
  mtu: [{ mtu: 1300 }],
  txQLen: [{ txQLen: 500 }],
  "txQLen 0": [{ txQLen: 0 }],
  allmulti: [{ allmulti: true }],
  "allmulti false": [{ allmulti: false }],
  mac: [{ mac: MAC }],
  "promisc from args": [{ args: { cni: { promisc: true } } }],
  "mtu from args": [{ mtu: 1350, args: { cni: { mtu: 1300 } } }],
  "txQLen from args": [{ args: { cni: { txQLen: 500 } } }],
  "allmulti from args": [{ allmulti: false, args: { cni: { allmulti: true } } }],
  "mac from args": [{ mac: "02:00:00:00:00:01", args: { cni: { mac: MAC } } }],
  "an empty mac from args, for which none is set": [{ mac: MAC, args: { cni: { mac: "" } } }, `MAC=${MAC}`],
  "mac from CNI_ARGS": [{ mac: "02:00:00:00:00:01" }, `IgnoreUnknown=true;MAC=${MAC}`],
  "mac from runtimeConfig": [{ runtimeConfig: { mac: MAC } }, "MAC=02:00:00:00:00:02"],
  "all of them": [ALL],
}

describe.each(Object.entries(NETWORKS))("%s", (_, [config, args]) => {
  test("is the same as with the reference: the result, the pod and the backup, after ADD and after DEL", () => {
    expect(attach("ours", config, args)).toEqual(attach("reference", config, args))
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s, and the other way", (first, second) => {
    using node = new Node()
    const pod = node.pod()
    const told = prepare(node, pod)
    const before = settings(pod)
    const more = args === undefined ? {} : { args }
    for (const [maker, other] of [
      [first, second],
      [second, first],
    ] as const) {
      const network = tuning(node, config, maker)
      const { result, exitCode } = network.add(pod, { ...more, config: told })
      if (exitCode !== 0) return expect(config["sysctl"]).toHaveProperty(["net/ipv4/vs/x"])
      const prevResult = result ?? {}
      expect(network.as(other).check(pod, prevResult, more)).toMatchObject(QUIET)
      expect(network.as(other).del(pod, { ...more, config: { prevResult } })).toMatchObject(QUIET)
      expect([settings(pod), backups(node)]).toEqual([before, {}])
    }
  })
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "version %s: the result is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      prepare(node, pod)
      const old = cniVersion < "0.3.0"
      const eth0 = { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1400, sandbox: pod.path }
      const prevResult = old
        ? { cniVersion, ip4: { ip: "10.1.2.3/24" }, dns: {} }
        : {
            cniVersion,
            interfaces: [{ name: "br0" }, eth0],
            ips: [{ version: "4", address: "10.1.2.3/24", interface: 1 }],
          }
      const { stdout, exitCode } = tuning(node, { cniVersion, mac: MAC, prevResult }, implementation).add(pod)
      expect(exitCode).toBe(0)
      return stdout.replace(pod.path, "NETNS")
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

function attach(implementation: Implementation, config: Config, args: string | undefined) {
  using node = new Node()
  const pod = node.pod()
  const { prevResult } = prepare(node, pod)
  const original = String(settings(pod)["mac"])
  const network = tuning(node, { ...config, prevResult }, implementation)
  const more = args === undefined ? {} : { args }
  const { stdout, exitCode } = network.add(pod, more)
  const masked = (text: string) =>
    text.replaceAll(pod.path, "NETNS").replaceAll(original, "MAC").replaceAll(pod.containerId, "ID")
  const inherited = readSysctls(pod)
  const look = () => {
    const sysctls = readSysctls(pod).filter((line) => !inherited.includes(line))
    return JSON.parse(masked(JSON.stringify([settings(pod), sysctls, backups(node)])))
  }
  const added = look()
  network.del(pod, more)
  return { exitCode, printed: exitCode === 0 ? masked(stdout) : "", added, deleted: look() }
}
