import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { isAnchor, isForPods, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const ADDRESSES = ["10.1.0.2/24", "fd00::2/64"]
const PORTS = [tcp(8080), udp(53), tcp(8443, 443, "192.0.2.1"), tcp(8444, 443, "::")]

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

describe.each(SWAPS)("added by %s, checked and removed by %s", (first, second) => {
  test.each([
    ["0.4.0", {}],
    ["1.0.0", { snat: false }],
    ["1.1.0", { conditionsV4: ["ip", "saddr", "!=", "10.9.0.0/16"], conditionsV6: ["ip6 saddr fd00::/8"] }],
    ["1.1.0", { masqAll: true }],
  ] as const)("at %s with %j", (cniVersion, config) => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node, { cniVersion, ...config })
    portmap.as(first).map(pod, PORTS, ADDRESSES)
    expect(portmap.as(second).check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    expect(portmap.as(second).del(pod, { ports: PORTS })).toMatchObject(QUIET)
    for (const family of ["ip", "ip6"] as const) {
      expect([...rules(node, "hostports", family), ...rules(node, "masquerading", family)]).toEqual([])
    }
    portmap.as(second).map(pod, PORTS, ADDRESSES)
    expect(portmap.as(first).check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    expect(portmap.as(first).del(pod, { ports: PORTS })).toMatchObject(QUIET)
  })
})

test("pods of both share the table, whoever comes and goes", () => {
  using node = new Node()
  const portmap = new Portmap(node)
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
    expect(rules(node, "hostports")).toHaveLength(3 - index)
  }
})

test("pods that the Go plugin added with conditions keep them when ours writes the shared rules anew", () => {
  using node = new Node()
  const [one, two] = [node.pod(), node.pod()]
  const conditions = { conditionsV4: ["ip", "saddr", "!=", "10.9.0.0/16", "iifname", "eth0"] }
  const portmap = new Portmap(node, conditions)
  portmap.as("reference").map(one, [tcp(80)], ["10.1.0.2/24"])
  portmap.as("ours", { conditionsV4: [] }).map(two, [tcp(81)], ["10.1.0.3/24"])
  expect(rules(node, "prerouting")).toEqual(["fib daddr type local jump hostports_all"])
  expect(rules(node, "hostports")).toEqual([
    `ip saddr != 10.9.0.0/16 iifname "eth0" tcp dport 80 dnat to 10.1.0.2:80 comment "${one.containerId}"`,
    `tcp dport 81 dnat to 10.1.0.3:80 comment "${two.containerId}"`,
  ])
  for (const implementation of ["ours", "reference"] as const) {
    expect(portmap.as(implementation).check(one, [tcp(80)], ["10.1.0.2/24"])).toMatchObject(QUIET)
  }
  expect(portmap.as("reference").del(one, { ports: [tcp(80)] })).toMatchObject(QUIET)
  expect(rules(node, "hostports")).toHaveLength(1)
})

test("an ADD of a pod that the Go plugin mapped replaces its rules", () => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node)
  portmap.as("reference").map(pod, PORTS, ADDRESSES)
  const shown = () => ruleset(node).filter((object) => !isForPods(object) && !isAnchor(object))
  const once = shown()
  portmap.map(pod, PORTS, ADDRESSES)
  expect(shown()).toEqual(once)
})

describe("what the Go plugin's iptables backend left in iptables-nft", () => {
  const chains = (node: Node) =>
    ["iptables-nft-save", "ip6tables-nft-save"].flatMap((save) =>
      node
        .run(save, "-t", "nat")
        .stdout.split("\n")
        .filter((line) => line.includes("CNI-DN-")),
    )

  test("passes our CHECK, and our DEL removes it and nothing else", () => {
    using node = new Node()
    const [pod, other] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    const before = portmap.as("reference", { backend: "iptables" })
    before.map(other, [tcp(9090)], ["10.1.0.3/24"])
    const others = chains(node)
    before.map(pod, PORTS, ADDRESSES)
    expect(chains(node).length).toBeGreaterThan(others.length)
    expect(portmap.check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(chains(node)).toEqual(others)
    expect(before.check(other, [tcp(9090)], ["10.1.0.3/24"])).toMatchObject(QUIET)
    expect(portmap.check(pod, PORTS, ADDRESSES).error?.code).toBe(104)
    expect(portmap.del(pod)).toMatchObject(QUIET)
  })

  test("goes but for a chain that a rule of somebody else leads to: it stays, empty, and DEL names the rule", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    portmap.as("reference", { backend: "iptables" }).map(pod, PORTS, ADDRESSES)
    const chain = chains(node)[0]?.split(" ")[0]?.slice(1) ?? ""
    const iptables = (...args: string[]) => output(node.inside(["iptables-nft", "-t", "nat", ...args]))
    iptables("-N", "WATCH")
    iptables("-A", "WATCH", "-m", "comment", "--comment", "who asks", "-j", chain)
    const { exitCode, stderr } = portmap.del(pod)
    expect(exitCode).toBe(0)
    expect(stderr).toContain(`chain ${chain} of table ip nat is empty but stays`)
    expect(stderr).toContain('of chain "WATCH"')
    const left = [`:${chain} - [0:0]`, `-A WATCH -m comment --comment "who asks" -j ${chain}`]
    expect(chains(node)).toEqual(left)
    iptables("-F", "WATCH")
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(chains(node)).toEqual([])
  })
})
