import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { saved } from "../../xtables/rules.ts"
import { type Config, iptables, type Mapping, Portmap, QUIET, tcp, udp } from "./network.ts"

const V4 = ["10.1.0.2/24"]
const V6 = ["fd00::2/64"]
const BOTH = [...V4, ...V6]

const MIXED: readonly Mapping[] = [
  tcp(8080),
  tcp(8081),
  { ...udp(8080), containerPort: 81 },
  { ...tcp(9999), protocol: "sctp" },
  tcp(8083, 83, "192.168.0.2"),
  tcp(8084, 84, "0.0.0.0"),
  tcp(8085, 85, "2001:db8:a::1"),
  tcp(8086, 86, "::"),
]

const many = (count: number) => Array.from({ length: count }, (_, at) => (at % 4 ? tcp : udp)(9000 + at, at + 1))

const CASES: readonly [string, readonly Mapping[], readonly string[], Config][] = [
  ["IPv4", MIXED, V4, {}],
  ["IPv6", MIXED, V6, {}],
  ["both", MIXED, BOTH, {}],
  ["one port of both", [tcp(80)], BOTH, {}],
  ["ports of one family, of a pod that has both", [tcp(80, 80, "0.0.0.0")], BOTH, {}],
  ["more ports than a rule of multiport holds", many(47), BOTH, {}],
  ["as many as it holds", many(20).filter(({ protocol }) => protocol === "tcp"), BOTH, {}],
  ["the same mapping twice, and a port led to two", [tcp(80), tcp(80), tcp(80, 81)], BOTH, {}],
  ["an address that is written with host bits, and a whole one", [tcp(80)], ["10.1.2.3/16", "fd00::1:2:3:4/60"], {}],
  ["a network of everybody", [tcp(80)], ["10.1.2.3/0"], {}],
  ["snat false", MIXED, BOTH, { snat: false }],
  ["masqAll", MIXED, BOTH, { masqAll: true }],
  ["masqAll without snat", MIXED, BOTH, { masqAll: true, snat: false }],
  ["another mark", MIXED, BOTH, { markMasqBit: 5 }],
  ["the first mark", [tcp(80)], BOTH, { markMasqBit: 0 }],
  ["the last mark", [tcp(80)], BOTH, { markMasqBit: 31 }],
  [
    "conditions, as the Go plugin's page has them",
    MIXED,
    BOTH,
    { conditionsV4: ["!", "-d", "192.0.2.0/24"], conditionsV6: ["!", "-d", "fc00::/7"] },
  ],
  [
    "conditions of every kind",
    [tcp(80)],
    BOTH,
    {
      conditionsV4: ["-s", "10.0.0.0/8", "!", "-i", "eth1", "-d", "192.0.2.1", "-m", "mark", "--mark", "0x10/0x10"],
      conditionsV6: ["!", "-s", "fd00::/8", "-i", "eth0"],
    },
  ],
]

describe("ADD writes what the Go plugin writes, as iptables-save prints it, and DEL leaves what it leaves:", () => {
  test.each(CASES)("%s", (_, ports, addresses, config) => {
    const listed = (implementation: Implementation) => {
      using node = new Node()
      const portmap = new Portmap(node, { backend: "iptables", ...config }, implementation)
      const [pod, other] = [node.pod(), node.pod()]
      portmap.map(pod, ports, addresses, { containerId: "ctr" })
      const added = saved(node)
      expect(added.length).toBeGreaterThan(10)
      portmap.map(other, [tcp(7000)], ["10.1.0.9/24", "fd00::9/64"], { containerId: "other" })
      const second = saved(node)
      expect(portmap.del(pod, { containerId: "ctr", ports })).toMatchObject(QUIET)
      return { added, second, deleted: saved(node) }
    }
    expect(listed("ours")).toEqual(listed("reference"))
  })

  test("names that are too long for a comment", () => {
    const listed = (implementation: Implementation) => {
      using node = new Node()
      const portmap = new Portmap(node, { backend: "iptables", name: "n".repeat(150) }, implementation)
      const [pod, containerId] = [node.pod(), "c".repeat(120)]
      portmap.map(pod, [tcp(80)], BOTH, { containerId })
      const added = saved(node)
      for (const checker of ["ours", "reference"] as const)
        expect(portmap.as(checker).check(pod, [tcp(80)], BOTH, { containerId })).toMatchObject(QUIET)
      expect(portmap.del(pod, { containerId, ports: [tcp(80)] })).toMatchObject(QUIET)
      return [added, saved(node)]
    }
    expect(listed("ours")).toEqual(listed("reference"))
  })

  test("a mark of others, whose chain is there", () => {
    const listed = (implementation: Implementation) => {
      using node = new Node()
      iptables(node, "iptables -t nat -N PLZ-SET-MARK", "ip6tables -t nat -N PLZ-SET-MARK")
      const config = { backend: "iptables", externalSetMarkChain: "PLZ-SET-MARK" }
      new Portmap(node, config, implementation).map(node.pod(), MIXED, BOTH, { containerId: "ctr" })
      return saved(node)
    }
    expect(listed("ours")).toEqual(listed("reference"))
    expect(listed("ours").join("\n")).not.toContain("CNI-HOSTPORT-SETMARK")
  })
})
