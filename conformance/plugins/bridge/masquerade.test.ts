import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, rules, ruleset, watch } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { hostLocal, Network } from "./network.ts"
import { masqueraded, OUTSIDE, outside, watchSources } from "./outside.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const TABLE = "inet cni_plugins_masquerade"
const masqRules = (node: Node) => rules(node, TABLE, "masq_checks")

describe("what a pod sends", () => {
  test("to the outside comes from the node's address, and without ipMasq from the pod's own", () => {
    using node = new Node()
    const host = outside(node)
    const sources = watchSources(host)
    const network = new Network(node, masqueraded(node))
    const [pod, plain] = [node.pod(), node.pod()]
    network.connect(pod)
    expect(OUTSIDE.map((address) => pod.pings(address))).toEqual([true, true])
    expect(sources()).toEqual({ node: [1, 1], pods: [0, 0] })
    network.as("ours", { ipMasq: false }).connect(plain)
    expect(OUTSIDE.map((address) => plain.pings(address))).toEqual([false, false])
    expect(sources()).toEqual({ node: [1, 1], pods: [1, 1] })
  })

  test.each([
    ["as bridged", "0"],
    ["as bridged packets that go through the filter", "1"],
  ])("to a pod of its network and to multicast groups keeps its address, %s", (_, filtered) => {
    using node = new Node()
    const network = new Network(node, masqueraded(node))
    const [one, two] = [node.pod(), node.pod()]
    for (const pod of [one, two]) network.connect(pod)
    for (const tables of ["iptables", "ip6tables"]) node.sysctl(`net/bridge/bridge-nf-call-${tables}`, filtered)
    const multicast = ["239.1.1.1", "ff15::1234"]
    const arrived = watch(
      two,
      "ip saddr 10.244.1.2 ip daddr 10.244.1.3 icmp type echo-request",
      "ip6 saddr fd00:10:244:1::2 ip6 daddr fd00:10:244:1::3 icmpv6 type echo-request",
      `ip saddr 10.244.1.2 ip daddr ${multicast[0]} icmp type echo-request`,
      `ip6 saddr fd00:10:244:1::2 ip6 daddr ${multicast[1]} icmpv6 type echo-request`,
    )
    for (const address of ["10.244.1.3", "fd00:10:244:1::3"]) expect(one.pings(address)).toBe(true)
    one.ip("-6", "route", "add", "ff15::/16", "dev", "eth0", "table", "local")
    for (const address of multicast) one.run("ping", "-n", "-c", "1", "-W", "0.1", "-I", "eth0", address) // nobody answers
    expect(arrived()).toEqual([1, 1, 1, 1])
  })

  test("to another network of the node comes from the node's address there", () => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    new Network(node, masqueraded(node)).connect(one)
    const other = hostLocal(node, ["10.245.0.0/16"])
    new Network(node, { name: "other", bridge: "cni1", isDefaultGateway: true, ipam: other }).connect(two)
    const arrived = watch(two, "ip saddr 10.245.0.1 icmp type echo-request", "ip saddr 10.244.1.2")
    expect(one.pings("10.245.0.2")).toBe(true)
    expect(arrived()).toEqual([1, 0])
  })
})

describe("the ruleset is the one that the reference makes", () => {
  test.each<[string, string[], string?]>([
    ["IPv4", ["10.244.1.0/24"]],
    ["IPv6", ["fd00:10:244:1::/64"]],
    ["dual stack", ["10.244.1.0/24", "fd00:10:244:1::/64"]],
    ["prefixes that end within a byte", ["10.9.0.8/29", "10.16.0.0/12", "fd00:1::/61", "fd00:2::/123"]],
    ["a container id that the comment has no room for", ["10.244.1.0/24"], "c".repeat(100)],
  ])("%s", (_, subnets, containerId = "one") => {
    const made = (["ours", "reference"] as const).map((implementation) => {
      using node = new Node()
      const config = { ipMasq: true, ipMasqBackend: "nftables", ipam: hostLocal(node, subnets) }
      const network = new Network(node, config, implementation)
      const table = () => output(node.inside(["nft", "-s", "list", "table", ...TABLE.split(" ")]))
      const results = [containerId, "two"].map((id) => network.add(node.pod(), { containerId: id }).exitCode)
      const added = table()
      results.push(network.ask("DEL", node.pods[0], { containerId }).exitCode)
      return { results, added: inOrder(added), deleted: inOrder(table()) }
    })
    expect(made[0]?.results).toEqual([0, 0, 0])
    expect(made[0]).toEqual(made[1])
  })
})

/** The order in which a table's chains are listed means nothing, nor do ours that are empty: the pods' rules are found by them. */
function inOrder(listed: string): string[] {
  return listed
    .split("\n\n")
    .map((part) => part.trim().replace(/^table .* \{\n|\n\}$/g, ""))
    .filter((chain) => !/^\s*chain cni-ts-\S+ \{\s+comment "[^"]+"\s+\}$/.test(chain))
    .sort()
}

test("each of a pod's 300 addresses is masqueraded, and DEL leaves none of their rules", () => {
  using node = new Node()
  const pod = node.pod()
  const addresses = Array.from({ length: 300 }, (_, at) => ({ address: `10.46.${1 + (at >> 7)}.${1 + (at & 127)}/16` }))
  const network = new Network(node, { ipMasq: true, isGateway: true, ipam: { type: "static", addresses } })
  const prevResult = network.connect(pod)
  expect(masqRules(node)).toHaveLength(300)
  expect(network.ask("CHECK", pod, { config: { prevResult } })).toEqual(QUIET)
  expect(network.ask("DEL", pod)).toEqual(QUIET)
  expect(masqRules(node)).toEqual([])
})

describe("DEL removes the rules", () => {
  test.each([
    ["without namespace and previous result (the reference leaves them)", {}],
    ["when ipMasq is not in the configuration any more (the reference leaves them)", { ipMasq: false }],
  ])("%s, and again", (_, config) => {
    using node = new Node()
    const network = new Network(node, masqueraded(node))
    const [pod, other] = [node.pod(), node.pod()]
    for (const each of [pod, other]) network.connect(each)
    expect(masqRules(node)).toHaveLength(4)
    for (const _time of [1, 2]) {
      expect(network.ask("DEL", "", { containerId: pod.containerId, config })).toMatchObject(QUIET)
      expect(masqRules(node).map((rule) => rule.includes(other.containerId.slice(0, 20)))).toEqual([true, true])
    }
  })

  test("of its own attachment alone, where another has got its address meanwhile", () => {
    using node = new Node()
    const network = new Network(node, {
      ...masqueraded(node, ["10.244.1.0/24"]),
      runtimeConfig: { ips: ["10.244.1.7"] },
    })
    const [old, next] = [node.pod(), node.pod()]
    network.connect(old)
    node.call("host-local", { command: "DEL", netns: old, config: network.config })
    network.connect(next)
    expect(masqRules(node).filter((rule) => rule.includes("10.244.1.7"))).toHaveLength(2)
    expect(network.del(old)).toMatchObject(QUIET)
    expect(masqRules(node)).toEqual([expect.stringContaining("ip saddr 10.244.1.7 ")])
  })
})

describe("CHECK fails with code 104", () => {
  test.each([
    ["when the rules are gone", `flush chain ${TABLE} masq_checks`, "masquerades 10.244.1.2/24"],
    ["when nothing leads to them", `flush chain ${TABLE} postrouting`, "chain postrouting"],
    ["when the whole ruleset was flushed", "flush ruleset", "masquerades 10.244.1.2/24"],
  ])("%s, and the next ADD makes what pods share", (_, harm, words) => {
    using node = new Node()
    const host = outside(node)
    const sources = watchSources(host)
    const network = new Network(node, masqueraded(node))
    const [pod, next] = [node.pod(), node.pod()]
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    nft(node, harm)
    expect(network.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining(words) })
    network.connect(next)
    expect(OUTSIDE.map((address) => next.pings(address))).toEqual([true, true])
    expect(sources()).toEqual({ node: [1, 1], pods: [0, 0] })
    for (const each of [pod, next]) expect(network.del(each)).toMatchObject(QUIET)
    expect(masqRules(node)).toEqual([])
  })
})

describe("GC", () => {
  test("removes the rules of attachments that are not valid, and no others", () => {
    using node = new Node()
    const network = new Network(node, masqueraded(node))
    const [live, stale, theirs, staleTheirs, other] = [node.pod(), node.pod(), node.pod(), node.pod(), node.pod()]
    for (const pod of [live, stale]) network.connect(pod)
    for (const pod of [theirs, staleTheirs]) network.as("reference", { ipMasqBackend: "nftables" }).connect(pod)
    network.as("ours", { name: "net2", ipam: hostLocal(node, ["10.245.0.0/16"]), bridge: "cni1" }).connect(other)
    nft(node, `add rule ${TABLE} masq_checks ip saddr 192.0.2.77 masquerade comment "by hand"`)
    const outcome = network.gc([live, theirs])
    expect(outcome).toMatchObject({ exitCode: 0, stdout: "" })
    const left = [live, theirs, other].map(({ containerId }) => containerId)
    const ids = masqRules(node).map((rule) => /id: ([\w-]+)/.exec(rule)?.[1] ?? "by hand")
    expect(new Set(ids)).toEqual(new Set([...left, "by hand"]))
    expect(ids).toHaveLength(6)
    expect(outcome.stderr).toContain(stale.containerId)
  })
})

test("STATUS is success where nf_tables is there", () => {
  using node = new Node()
  expect(new Network(node, { ...masqueraded(node), macspoofchk: true }).ask("STATUS", undefined)).toMatchObject(QUIET)
})

test("a chain of that name at another hook is code 102, and left as it is", () => {
  using node = new Node()
  nft(node, `add table ${TABLE}`, `add chain ${TABLE} postrouting { type filter hook input priority 5; }`)
  const before = ruleset(node)
  const network = new Network(node, masqueraded(node))
  const pod = node.pod()
  expect(network.add(pod).error).toMatchObject({
    code: 102,
    msg: `chain postrouting of table ${TABLE} is somebody else's: it is of type filter at hook input with priority 5, and has to be of type nat at hook postrouting with priority 100`,
  })
  expect([ruleset(node), pod.link("eth0")]).toEqual([before, undefined])
})

test("a base chain under the name of the one that it leads to is code 102, too", () => {
  using node = new Node()
  nft(node, `add table ${TABLE}`, `add chain ${TABLE} masq_checks { type filter hook input priority 5; }`)
  const before = ruleset(node)
  const pod = node.pod()
  expect(new Network(node, masqueraded(node)).add(pod).error).toMatchObject({
    code: 102,
    msg: `chain masq_checks of table ${TABLE} is somebody else's: it is of type filter at hook input with priority 5, and has to be at no hook`,
  })
  expect([ruleset(node), pod.link("eth0")]).toEqual([before, undefined])
})

describe("many pods", () => {
  test("ADD's requests and what the kernel answers stay the same beside 1000 rules of others", () => {
    using node = new Node()
    const network = new Network(node, masqueraded(node))
    network.connect(node.pod())
    const cost = () => {
      const { calls } = node.trace("bridge", { command: "ADD", netns: node.pod(), config: network.config }, "network")
      return ["sendto", "recvfrom"].map((name) => calls.filter((call) => call.name === name).length)
    }
    const before = cost()
    const add = (n: number) =>
      `add rule ${TABLE} masq_checks ip saddr 10.99.${n >> 8}.${n & 255} masquerade comment "x-${n}"`
    nft(node, ...Array.from({ length: 1000 }, (_, n) => add(n)))
    expect(cost()).toEqual(before)
  })

  test("50 at once lose no rule, and their DELs leave none", async () => {
    using node = new Node()
    const network = new Network(node, { ...masqueraded(node), macspoofchk: true })
    const pods = Array.from({ length: 50 }, () => node.pod())
    const all = (command: string) =>
      Promise.all(pods.map((netns) => node.callAsync("bridge", { command, netns, config: network.config })))
    const added = await all("ADD")
    expect(added.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    expect(masqRules(node)).toHaveLength(100)
    for (const { containerId } of pods) {
      expect(masqRules(node).filter((rule) => rule.endsWith(`id: ${containerId}"`))).toHaveLength(2)
    }
    expect(rules(node, "bridge nat", "PREROUTING")).toHaveLength(50)
    const deleted = await all("DEL")
    expect(deleted.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    expect([...masqRules(node), ...rules(node, "bridge nat", "PREROUTING")]).toEqual([])
    expect(ruleset(node)).not.toContain("cni-br-iface")
  })
})

test("no verb starts a process", () => {
  using node = new Node()
  const network = new Network(node, { ...masqueraded(node), macspoofchk: true })
  const pod = node.pod()
  const prevResult = node.call("bridge", { command: "ADD", netns: pod, config: network.config }).result
  for (const command of ["CHECK", "STATUS", "GC", "DEL"]) {
    const config = {
      ...network.config,
      prevResult,
      "cni.dev/valid-attachments": [{ containerID: pod.containerId, ifname: "eth0" }],
    }
    const { outcome, programs, processes } = node.trace("bridge", { command, netns: pod, config })
    expect([outcome.exitCode, programs.length, processes], command).toEqual([0, 1, 0])
  }
})
