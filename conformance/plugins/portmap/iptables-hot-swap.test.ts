import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { saved } from "../../xtables/rules.ts"
import { hostportsOf, iptables, Portmap, QUIET, tcp, udp } from "./network.ts"

const ADDRESSES = ["10.1.0.2/24", "fd00::2/64"]
const PORTS = [tcp(8080), udp(53), tcp(8443, 443, "192.0.2.1"), tcp(8444, 443, "::")]

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

describe.each(SWAPS)("by iptables, added by %s, checked and removed by %s", (first, second) => {
  test.each([
    ["0.4.0", {}],
    ["1.0.0", { snat: false }],
    ["1.1.0", { conditionsV4: ["!", "-s", "10.9.0.0/16"], conditionsV6: ["-s", "fd00::/8"] }],
    ["1.1.0", { masqAll: true, markMasqBit: 7 }],
  ] as const)("at %s with %j", (cniVersion, config) => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node, { cniVersion, backend: "iptables", ...config })
    portmap.as(first).map(pod, PORTS, ADDRESSES)
    const once = saved(node)
    expect(portmap.as(second).check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    portmap.as(second).map(pod, PORTS, ADDRESSES)
    expect(saved(node)).toEqual(once)
    expect(portmap.as(first).check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    expect(portmap.as(second).del(pod, { ports: PORTS })).toMatchObject(QUIET)
    expect(hostportsOf(node)).toEqual([])
    portmap.as(second).map(pod, PORTS, ADDRESSES)
    expect(portmap.as(first).del(pod, { ports: PORTS })).toMatchObject(QUIET)
    expect(hostportsOf(node)).toEqual([])
  })
})

test("pods of both share the chains, whoever comes and goes", () => {
  using node = new Node()
  const portmap = new Portmap(node, { backend: "iptables" })
  const pods = (["ours", "reference", "ours", "reference"] as const).map((implementation, index) => {
    const [pod, ports, addresses] = [node.pod(), [tcp(8000 + index)], [`10.1.0.${index + 2}/24`]]
    portmap.as(implementation).map(pod, ports, addresses)
    return { pod, ports, addresses }
  })
  for (const { pod, ports, addresses } of pods) {
    for (const implementation of ["ours", "reference"] as const) {
      expect(portmap.as(implementation).check(pod, ports, addresses)).toMatchObject(QUIET)
    }
  }
  for (const [index, { pod, ports }] of pods.entries()) {
    expect(portmap.as(index < 2 ? "ours" : "reference").del(pod, { ports })).toMatchObject(QUIET)
    expect(hostportsOf(node).filter((line) => line.includes("-j DNAT"))).toHaveLength(3 - index)
  }
})

test("rules that lost their notes, as by iptables-restore, pass CHECK, become the pod's again by ADD, and go by DEL", () => {
  using node = new Node()
  const [pod, other] = [node.pod(), node.pod()]
  const portmap = new Portmap(node, { backend: "iptables" })
  portmap.map(pod, PORTS, ADDRESSES)
  portmap.map(other, [tcp(9000)], ["10.1.0.3/24"])
  const before = saved(node)
  iptables(node, "iptables-save | iptables-restore", "ip6tables-save | ip6tables-restore")
  expect(portmap.check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
  portmap.map(pod, PORTS, ADDRESSES)
  expect(saved(node).sort()).toEqual(before.sort())
  expect(portmap.gc([])).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(pod.containerId) })
  expect(portmap.del(other)).toMatchObject(QUIET)
  expect(hostportsOf(node)).toEqual([])
})

test("what Go plugins before 0.8 left for masquerading goes with the pod's chain", () => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node, { backend: "iptables" })
  portmap.as("reference").map(pod, PORTS, ADDRESSES)
  const chain = /CNI-DN-(\w+)/.exec(saved(node).join())?.[1]
  iptables(
    node,
    `iptables -t nat -N CNI-SN-${chain}`,
    `iptables -t nat -A CNI-SN-${chain} -s 127.0.0.1 -d 10.1.0.2 -p tcp --dport 80 -j MASQUERADE`,
    "iptables -t nat -N CNI-HOSTPORT-SNAT",
    `iptables -t nat -A CNI-HOSTPORT-SNAT -j CNI-SN-${chain}`,
  )
  expect(portmap.del(pod)).toMatchObject(QUIET)
  expect(saved(node).filter((line) => line.includes(chain ?? "?"))).toEqual([])
})
