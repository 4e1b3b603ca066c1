import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Config, isAnchor, isForPods, type Mapping, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const V4 = ["10.1.0.2/24"]
const V6 = ["fd00::2/64"]

const MIXED: readonly Mapping[] = [
  tcp(8080),
  udp(5353),
  tcp(8081, 81, "0.0.0.0"),
  tcp(8082, 82, "192.0.2.1"),
  { ...tcp(8083), protocol: "sctp" },
]
const MIXED6: readonly Mapping[] = [tcp(8080), tcp(9081, 81, "::"), udp(9082, 82, "fd00::1")]

describe("what nft lists is what it lists of the Go plugin's rules, after ADD and after DEL", () => {
  test.each<[string, readonly Mapping[], readonly string[], Config]>([
    ["IPv4", MIXED, V4, {}],
    ["IPv6", MIXED6, V6, {}],
    ["both", [...MIXED, ...MIXED6], [...V4, ...V6], {}],
    ["IPv4 without snat", MIXED, V4, { snat: false }],
    ["IPv6 without snat", MIXED6, V6, { snat: false }],
    ["both, another mark", [tcp(80), udp(80)], [...V4, ...V6], { markMasqBit: 5 }],
  ])("%s", (_, ports, addresses, config) => {
    const listed = (implementation: Implementation) => {
      using node = new Node()
      const portmap = new Portmap(node, config, implementation)
      const pod = node.pod()
      portmap.map(pod, ports, addresses, { containerId: "ctr" })
      const added = ruleset(node).filter((object) => !isForPods(object) && !isAnchor(object))
      portmap.del(pod, { containerId: "ctr", ports })
      return { added, deleted: ruleset(node) }
    }
    expect(listed("ours")).toEqual(listed("reference"))
  })
})

test("without conditions the result of the plugins before is passed on as it came", () => {
  using node = new Node()
  const pod = node.pod()
  const answers = (["ours", "reference"] as const).map(
    (implementation) => new Portmap(node, {}, implementation).add(pod, [tcp(8080)], V4).result,
  )
  expect(answers[0]).toEqual(answers[1])
  expect(answers[0]?.ips).toEqual([{ address: V4[0], interface: 1 }])
})

test("who of a pod's own subnet asks the node's port comes from the node's address, as by the Go plugin's iptables backend", () => {
  using node = new Node()
  const pod = node.pod()
  new Portmap(node).map(pod, [tcp(8080)], [...V4, ...V6], { containerId: "ctr" })
  expect(rules(node, "masquerading")).toEqual([
    'ip saddr 10.1.0.0/24 ip daddr 10.1.0.2 ct status dnat masquerade comment "ctr"',
    'ip saddr 127.0.0.1 ip daddr 10.1.0.2 masquerade comment "ctr"',
  ])
  expect(rules(node, "masquerading", "ip6")).toEqual([
    'ip6 saddr fd00::/64 ip6 daddr fd00::2 ct status dnat masquerade comment "ctr"',
  ])
})

describe("what the Go plugin takes is taken", () => {
  const dnat = (node: Node, family: "ip" | "ip6") =>
    rules(node, "hostports", family).map((rule) => rule.replace(/ comment.*/, ""))

  test("a port for both families, by a pod that has one: it leads there", () => {
    const both = [tcp(8080, 80, "0.0.0.0"), tcp(8080, 80, "::"), tcp(8081, 81, "fd00::1")]
    for (const implementation of ["ours", "reference"] as const) {
      using node = new Node()
      const pod = node.pod()
      const portmap = new Portmap(node, {}, implementation)
      portmap.map(pod, both, V4)
      expect([dnat(node, "ip"), dnat(node, "ip6")]).toEqual([["tcp dport 8080 dnat to 10.1.0.2:80"], []])
      expect(portmap.check(pod, both, V4)).toMatchObject(QUIET)
    }
  })

  test("hostIP localhost, by which it means no address of IPv4: ours means both", () => {
    using node = new Node()
    const pod = node.pod()
    const local = [tcp(8080, 80, "localhost")]
    expect(new Portmap(node, {}, "reference").add(pod, local, V4).exitCode).toBe(0)
    const portmap = new Portmap(node)
    portmap.map(pod, local, [...V4, ...V6])
    expect(dnat(node, "ip")).toEqual(["ip daddr 127.0.0.1 tcp dport 8080 dnat to 10.1.0.2:80"])
    expect(dnat(node, "ip6")).toEqual(["ip6 daddr ::1 tcp dport 8080 dnat to [fd00::2]:80"])
    expect(portmap.check(pod, local, [...V4, ...V6])).toMatchObject(QUIET)
  })

  test.each(["dccp", "udplite"])("protocol %s", (protocol) => {
    const shown = (["ours", "reference"] as const).map((implementation) => {
      using node = new Node()
      const pod = node.pod()
      new Portmap(node, {}, implementation).map(pod, [{ ...tcp(8080), protocol }], V4, { containerId: "ctr" })
      return rules(node, "hostports")
    })
    expect(shown[0]).toEqual([`${protocol} dport 8080 dnat to 10.1.0.2:80 comment "ctr"`])
    expect(shown[0]).toEqual(shown[1])
  })

  test.each([
    ["the node's", { name: "cni0" }],
    ["another of the pod's", { name: "net1", sandbox: "/run/netns/pod" }],
  ])("an address of an interface that is %s: nothing is mapped", (_, other) => {
    using node = new Node()
    const pod = node.pod()
    const prevResult = { interfaces: [other], ips: [{ address: "10.1.0.2/24", interface: 0 }] }
    for (const implementation of ["ours", "reference"] as const) {
      const portmap = new Portmap(node, {}, implementation)
      const added = portmap.ask("ADD", pod, { ports: [tcp(8080)], config: { prevResult } })
      expect(added, implementation).toMatchObject({ exitCode: 0, result: { ips: [{ address: "10.1.0.2/24" }] } })
      expect(portmap.ask("CHECK", pod, { ports: [tcp(8080)], config: { prevResult } }).exitCode).toBe(0)
      expect(ruleset(node).filter(({ rule }) => rule?.["comment"])).toEqual([])
    }
  })
})

test("nothing is done where no port is asked for", () => {
  using node = new Node()
  const pod = node.pod()
  expect(new Portmap(node).add(pod, [], V4)).toMatchObject({ ...QUIET, result: { ips: [{ address: V4[0] }] } })
  expect(new Portmap(node).del(pod)).toMatchObject({ ...QUIET, stdout: "" })
  expect(ruleset(node)).toEqual([])
})

describe("masqAll, which the Go plugin's nftables backend overlooks", () => {
  test.each([
    [V4, "ip", 3],
    [V6, "ip6", 2],
  ] as const)("%j: every source is masqueraded, and the Go plugin's CHECK is content", (addresses, family, count) => {
    using node = new Node()
    const portmap = new Portmap(node, { masqAll: true })
    const pod = node.pod()
    portmap.map(pod, [tcp(8080)], addresses)
    const [address = ""] = addresses.map((text) => text.replace(/\/.*/, ""))
    expect(rules(node, "masquerading", family)).toHaveLength(count)
    expect(rules(node, "masquerading", family).at(-1)).toBe(
      `${family} daddr ${address} ct status dnat masquerade comment "${pod.containerId}"`,
    )
    for (const implementation of ["ours", "reference"] as const) {
      expect(portmap.as(implementation).check(pod, [tcp(8080)], addresses)).toMatchObject(QUIET)
    }
  })
})

describe("faults of the Go plugin that are fixed", () => {
  test("the conditions of one pod do not apply to another", () => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    new Portmap(node, { conditionsV4: ["ip", "saddr", "10.0.0.0/8", "iifname", '"eth0"'] }).map(one, [tcp(8080)], V4)
    new Portmap(node).map(two, [tcp(8081)], ["10.1.0.3/24"])
    expect(rules(node, "prerouting")).toEqual(["fib daddr type local jump hostports_all"])
    expect(rules(node, "hostports")).toEqual([
      `ip saddr 10.0.0.0/8 iifname "eth0" tcp dport 8080 dnat to 10.1.0.2:80 comment "${one.containerId}"`,
      `tcp dport 8081 dnat to 10.1.0.3:80 comment "${two.containerId}"`,
    ])
  })

  test("DEL of one attachment leaves those of the container's other interface and network", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    const other = new Portmap(node, { name: "other" })
    portmap.map(pod, [tcp(8080)], V4)
    portmap.map(pod, [tcp(8081)], ["10.1.0.3/24"], { ifname: "net1" })
    other.map(pod, [tcp(8082)], ["10.1.0.4/24"])
    expect(portmap.del(pod)).toMatchObject(QUIET)
    const shown = () => rules(node, "hostports").map((rule) => rule.replace(/ comment.*/, ""))
    expect(shown()).toEqual(["tcp dport 8081 dnat to 10.1.0.3:80", "tcp dport 8082 dnat to 10.1.0.4:80"])
    expect(portmap.del(pod, { ifname: "net1" })).toMatchObject(QUIET)
    expect(shown()).toEqual(["tcp dport 8082 dnat to 10.1.0.4:80"])
    expect(other.del(pod)).toMatchObject(QUIET)
    expect([shown(), rules(node, "masquerading")]).toEqual([[], []])
  })

  test("a repeated ADD replaces what was there, also with other ports", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    portmap.map(pod, [tcp(8080), udp(53)], [...V4, ...V6])
    const once = ruleset(node, { sets: true })
    portmap.map(pod, [tcp(8080), udp(53)], [...V4, ...V6])
    expect(ruleset(node, { sets: true })).toEqual(once)
    portmap.map(pod, [tcp(9090)], V4)
    expect(rules(node, "hostports")).toEqual([`tcp dport 9090 dnat to 10.1.0.2:80 comment "${pod.containerId}"`])
    expect(rules(node, "masquerading")).toHaveLength(2)
    expect([...rules(node, "hostports", "ip6"), ...rules(node, "masquerading", "ip6")]).toEqual([])
  })

  test("DEL needs neither ports, nor namespace, nor a configuration that ADD would take, and succeeds twice", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    portmap.map(pod, [tcp(8080), udp(53)], [...V4, ...V6])
    const broken = { backend: "ipvs", conditionsV4: ["nonsense"], runtimeConfig: { portMappings: "none" } }
    for (let time = 0; time < 2; time++) {
      expect(portmap.del(pod, { config: broken })).toMatchObject({ ...QUIET, stdout: "" })
      expect([...rules(node, "hostports"), ...rules(node, "hostports", "ip6")]).toEqual([])
    }
  })
})

describe("names of any length", () => {
  test("a container's id that nft has no room for is mapped and removed all the same", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node, { name: "n".repeat(200) })
    const ids = ["a", "b"].map((end) => "c".repeat(200) + end)
    for (const [index, containerId] of ids.entries()) {
      portmap.map(pod, [tcp(8080 + index)], [`10.1.0.${index + 2}/24`], { containerId })
    }
    expect(rules(node, "hostports")).toHaveLength(2)
    expect(portmap.check(pod, [tcp(8081)], ["10.1.0.3/24"], { containerId: ids[1] })).toMatchObject(QUIET)
    expect(portmap.del(pod, { containerId: ids[0] })).toMatchObject(QUIET)
    expect(rules(node, "hostports")).toHaveLength(1)
    expect(rules(node, "hostports")[0]).toContain("tcp dport 8081")
  })
})
