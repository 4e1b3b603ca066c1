import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, hostportsOf, iptables, type Mapping, Portmap, QUIET, resultOf, rules, tcp } from "./network.ts"

const V4 = ["10.1.0.2/24"]
const BOTH = [...V4, "fd00::2/64"]
const TWO = ["10.1.0.3/24"]
const UNSAID = { backend: undefined }

/** The backends that led ports to pods, by who finds the rules. */
const found = (node: Node) => [
  ...(rules(node, "hostports").length + rules(node, "hostports", "ip6").length > 0 ? ["nftables"] : []),
  ...(hostportsOf(node).length > 0 ? ["iptables"] : []),
]

describe("without a backend ADD leads ports", () => {
  test.each<[string, string, string[], Config, readonly Mapping[]]>([
    ["by nftables", "true", BOTH, {}, [tcp(80)]],
    ["by nftables, beside another's table nat", "iptables -t nat -N DOCKER", BOTH, {}, [tcp(80)]],
    ["by iptables if the Go plugin's chain is there", "iptables -t nat -N CNI-HOSTPORT-DNAT", BOTH, {}, [tcp(80)]],
    ["by iptables to a pod of IPv6", "ip6tables -t nat -N CNI-HOSTPORT-DNAT", ["fd00::2/64"], {}, [tcp(80)]],
    ["by nftables if the chain is of another family", "ip6tables -t nat -N CNI-HOSTPORT-DNAT", V4, {}, [tcp(80)]],
    ["by nftables if it says so", "iptables -t nat -N CNI-HOSTPORT-DNAT", V4, { backend: "nftables" }, [tcp(80)]],
    ["by iptables if an option is of that alone", "true", V4, { conditionsV4: ["!", "-d", "192.0.2.1"] }, [tcp(80)]],
    [
      "by nftables if a condition is in its words",
      "iptables -t nat -N CNI-HOSTPORT-DNAT",
      V4,
      { conditionsV4: ["ip saddr 10.0.0.0/8"] },
      [tcp(80)],
    ],
    [
      "by nftables if iptables does not know the protocol",
      "iptables -t nat -N CNI-HOSTPORT-DNAT",
      V4,
      {},
      [{ ...tcp(80), protocol: "dccp" }],
    ],
  ])("%s", (words, before, addresses, config, ports) => {
    using node = new Node()
    iptables(node, before)
    const pod = node.pod()
    const portmap = new Portmap(node, { ...UNSAID, ...config })
    portmap.map(pod, ports, addresses)
    expect(found(node)).toEqual([words.includes("by nftables") ? "nftables" : "iptables"])
    expect(portmap.check(pod, ports, addresses)).toMatchObject(QUIET)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(found(node)).toEqual([])
  })

  test("asking one thing more of a node without that chain, and nothing if the backend is said", () => {
    using node = new Node()
    const requests = [UNSAID, { backend: "nftables" }].map((config, at) => {
      const [pod, other] = [node.pod(), node.pod()]
      const portmap = new Portmap(node, config)
      portmap.map(other, [tcp(8000 + at)], [`10.1.1.${at + 2}/24`])
      const more = { ports: [tcp(9000 + at)], config: { prevResult: resultOf(pod, [`10.1.0.${at + 2}/24`]) } }
      const { calls, outcome } = node.trace("portmap", portmap.call("ADD", pod, more))
      expect(outcome).toMatchObject(QUIET)
      return calls.filter(({ name }) => name === "sendto").length
    })
    expect(requests[0]).toBe((requests[1] ?? 0) + 1)
  })
})

describe("a node in the middle of a switch", () => {
  test("new pods join those of the Go plugin, which checks and removes them, told nothing either", () => {
    using node = new Node()
    const [old, young] = [node.pod(), node.pod()]
    const portmap = new Portmap(node, UNSAID)
    portmap.as("reference").map(old, [tcp(80)], V4)
    expect(portmap.add(young, [tcp(80)], TWO).error).toMatchObject({
      code: 102,
      msg: `host port 80/tcp is taken by container ${old.containerId}`,
    })
    portmap.map(young, [tcp(81)], TWO)
    expect(found(node)).toEqual(["iptables"])
    for (const implementation of ["ours", "reference"] as const) {
      expect(portmap.as(implementation).check(old, [tcp(80)], V4)).toMatchObject(QUIET)
      expect(portmap.as(implementation).check(young, [tcp(81)], TWO)).toMatchObject(QUIET)
    }
    expect(portmap.as("reference").del(young, { ports: [tcp(81)] })).toMatchObject(QUIET)
    expect(portmap.del(old)).toMatchObject(QUIET)
    expect(found(node)).toEqual([])
  })

  test("pods that have rules of nftables keep them and their ports, until an ADD moves them", () => {
    using node = new Node()
    const [pod, other] = [node.pod(), node.pod()]
    const portmap = new Portmap(node, UNSAID)
    portmap.map(pod, [tcp(80)], BOTH)
    iptables(node, "iptables -t nat -N CNI-HOSTPORT-DNAT")
    expect(portmap.check(pod, [tcp(80)], BOTH)).toMatchObject(QUIET)
    expect(portmap.as("ours", { backend: "iptables" }).check(pod, [tcp(80)], BOTH)).toMatchObject(QUIET)
    expect(portmap.add(other, [tcp(80)], TWO).error).toMatchObject({
      code: 102,
      msg: expect.stringContaining(`taken by container ${pod.containerId} (network net, interface eth0)`),
    })
    expect(found(node)).toEqual(["nftables"])
    portmap.map(pod, [tcp(80)], BOTH)
    expect(found(node)).toEqual(["iptables"])
    expect(portmap.check(pod, [tcp(80)], BOTH)).toMatchObject(QUIET)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    portmap.map(other, [tcp(80)], TWO)
    expect(found(node)).toEqual(["iptables"])
  })

  test("DEL and GC remove rules of both, whatever the configuration says", () => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    for (const remove of ["DEL", "GC"]) {
      portmap.as("ours", { backend: "nftables" }).map(one, [tcp(80)], BOTH)
      portmap.as("ours", { backend: "iptables" }).map(two, [tcp(81)], TWO)
      expect(found(node)).toEqual(["nftables", "iptables"])
      if (remove === "GC") expect(portmap.gc([]).exitCode).toBe(0)
      else for (const pod of [one, two]) expect(portmap.del(pod)).toMatchObject(QUIET)
      expect(found(node)).toEqual([])
    }
  })
})
