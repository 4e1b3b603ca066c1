import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { nft, ruleset, watch } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { saved, savedRules } from "../../xtables/rules.ts"
import { type Config, DUAL, hostLocal, Network, V4, V6 } from "./network.ts"
import { masqueraded, OUTSIDE, outside, watchSources } from "./outside.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const BOTH: readonly Implementation[] = ["reference", "ours"]

/** A PATH with neither iptables nor nft, which are in an sbin. */
const WITHOUT = "/usr/bin"

/** A network of that plugin which masquerades by iptables. */
function network(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { ...masqueraded(node), ipMasqBackend: "iptables", ...config }, implementation)
}

/** The lines of iptables-save and ip6tables-save for the pod, which its rules name in their comments. */
function rulesOf(node: Node, { containerId }: Pick<Pod, "containerId">): string[] {
  return savedRules(node).filter((line) => line.includes(`id: \\"${containerId}\\"`))
}

/** The chains of pods, there with or without rules. */
function chains(node: Node): string[] {
  return saved(node).filter((line) => / :CNI-/.test(line))
}

function iptables(node: Node, ...commands: string[]): void {
  for (const command of commands) output(node.inside(["sh", "-c", command]))
}

function nftablesRules(node: Node): number {
  return ruleset(node).split(", net: ").length - 1
}

describe("iptables-save prints what it prints after the reference", () => {
  test.each<[string, Config, string[], string?]>([
    ["IPv4", {}, [V4]],
    ["IPv6", {}, [V6]],
    ["dual stack", {}, DUAL],
    ["prefixes that end within a byte", {}, ["10.16.0.0/12", "fd00:1::/61"]],
    ["a container id that the comment has no room for", {}, DUAL, "c".repeat(300)],
    ["ptp", { type: "ptp" }, DUAL],
  ])("%s", (_, config, subnets, containerId = "one") => {
    const [reference, ours] = BOTH.map((implementation) => {
      using node = new Node()
      const on = network(node, { ...config, ipam: hostLocal(node, subnets) }, implementation)
      const results = [on.add(node.pod(), { containerId })]
      const seen = [saved(node)]
      results.push(on.add(node.pod(), { containerId: "two" }))
      seen.push(saved(node))
      for (const [index, id] of [containerId, "two"].entries()) {
        results.push(on.ask("DEL", node.pods[index], { containerId: id }))
        seen.push(saved(node))
      }
      expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
      return seen
    })
    expect(ours).toEqual(reference)
  })
})

describe.each(["bridge", "ptp"])("%s: what a pod sends", (type) => {
  test("to the outside comes from the node's address", () => {
    using node = new Node()
    const host = outside(node)
    const sources = watchSources(host)
    const pod = node.pod()
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]
    network(node, { type, ipam: hostLocal(node, DUAL, { routes }) }).connect(pod)
    expect(OUTSIDE.map((address) => pod.pings(address))).toEqual([true, true])
    expect(sources()).toEqual({ node: [1, 1], pods: [0, 0] })
  })
})

describe("without ipMasqBackend", () => {
  const plain = (node: Node) => network(node, { ipMasqBackend: undefined, type: "ptp", ipam: hostLocal(node) })

  test("pods join those that the reference masquerades by iptables, until the last of them is gone", () => {
    using node = new Node()
    const on = plain(node)
    const [theirs, ours, later] = [node.pod(), node.pod(), node.pod()]
    const prevResult = on.as("reference").connect(theirs)
    const before = rulesOf(node, theirs).length
    const result = on.connect(ours)
    expect([rulesOf(node, ours).length, before, nftablesRules(node)]).toEqual([3, 3, 0])
    expect(on.check(ours, result)).toMatchObject(QUIET)
    expect(on.del(theirs, { config: { prevResult } })).toMatchObject(QUIET)
    on.connect(later)
    expect([rulesOf(node, ours).length, rulesOf(node, later).length, nftablesRules(node)]).toEqual([3, 0, 1])
    expect(on.del(ours)).toMatchObject(QUIET)
    expect(chains(node)).toEqual([])
  })

  test("rules of the reference for another network, and of others, are no reason to", () => {
    using node = new Node()
    iptables(node, "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE")
    const other = hostLocal(node, ["10.9.0.0/24"])
    plain(node).as("reference", { name: "net2", ipam: other }).connect(node.pod())
    plain(node).connect(node.pod())
    expect(nftablesRules(node)).toBe(1)
  })

  test("a node that is told nftables takes nftables", () => {
    using node = new Node()
    plain(node).as("reference").connect(node.pod())
    const pod = node.pod()
    plain(node).as("ours", { ipMasqBackend: "nftables" }).connect(pod)
    expect([rulesOf(node, pod).length, nftablesRules(node)]).toEqual([0, 1])
  })
})

/** Each fault on the Go plugin first, so that a test says so if it is mended there. */
describe("faults of the Go plugin that this one has not", () => {
  test("what a pod sends from its second address to the second network comes from the node", () => {
    const arrived = (implementation: Implementation) => {
      using node = new Node()
      const [one, two] = [node.pod(), node.pod()]
      const ipam = hostLocal(node, [V4, "10.9.0.0/24"], { routes: [{ dst: "0.0.0.0/0" }] })
      const on = network(node, { type: "ptp", ipam }, implementation)
      for (const pod of [one, two]) on.connect(pod)
      const counts = watch(two, "ip saddr 10.9.0.2 icmp type echo-request", "icmp type echo-request")
      expect(one.run("ping", "-c", "1", "-W", "2", "-I", "10.9.0.2", "10.9.0.3").exitCode).toBe(0)
      return counts()
    }
    expect(BOTH.map(arrived)).toEqual([
      [0, 1],
      [1, 1],
    ])
  })

  test("DEL of one interface takes the rules of the container's other one on the network", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      const on = network(node, { ipam: hostLocal(node) }, implementation)
      on.connect(pod)
      on.connect(pod, { ifname: "net1" })
      const { exitCode } = on.del(pod)
      return [exitCode, savedRules(node).map((line) => line.split(" ").at(-1)?.slice(0, 4))]
    }
    expect(BOTH.map(left)).toEqual([
      [1, ["CNI-"]],
      [0, ["CNI-", "ACCE", "MASQ"]],
    ])
  })

  test("DEL without namespace, or without ipMasq in the configuration, leaves the rules", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const on = network(node, {}, implementation)
      const [gone, told] = [node.pod(), node.pod()]
      for (const pod of [gone, told]) on.connect(pod)
      expect(on.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
      expect(on.del(told, { config: { ipMasq: false } })).toMatchObject(QUIET)
      return [gone, told].map((pod) => rulesOf(node, pod).length)
    }
    expect(BOTH.map(left)).toEqual([
      [6, 6],
      [0, 0],
    ])
  })

  test.each<[string, string | undefined]>([
    ["iptables", "iptables"],
    ["what a node has", undefined],
  ])(
    "ADD by %s fails where nft has made table nat its own, or where there is neither iptables nor nft",
    (_, backend) => {
      const added = (implementation: Implementation, path = process.env["PATH"]) => {
        using node = new Node()
        const chain = "add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }"
        const rule = "add rule ip nat POSTROUTING ip saddr { 10.7.0.0/16, 10.8.0.0/16 } masquerade"
        if (path !== WITHOUT) nft(node, "add table ip nat", chain, rule)
        const pod = node.pod()
        const on = network(node, { ipMasqBackend: backend, ipam: hostLocal(node) }, implementation)
        const { exitCode, error } = on.add(pod, { env: { PATH: path } })
        return error ? error.msg : exitCode
      }
      expect([added("reference"), added("ours")]).toEqual([expect.stringContaining("`nat' is incompatible"), 0])
      expect([added("reference", WITHOUT), added("ours", WITHOUT)]).toEqual([
        expect.stringContaining("failed to locate iptables"),
        0,
      ])
    },
  )

  test("CHECK does not look at them", () => {
    using node = new Node()
    const pod = node.pod()
    const on = network(node)
    const result = on.connect(pod)
    iptables(node, "iptables -t nat -F POSTROUTING")
    expect(on.as("reference").check(pod, result)).toMatchObject(QUIET)
    expect(on.check(pod, result).error).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/^there is no rule -A POSTROUTING -s 10\.244\.1\.2\/32 -j CNI-\w+ in table ip nat$/),
    })
  })
})

describe("after", () => {
  test.each(["iptables -t nat -F", "ip6tables -t nat -F POSTROUTING", "nft delete table ip6 nat", "nft flush ruleset"])(
    "%s CHECK fails, DEL and GC remove the rest, and the next ADD makes all of its own",
    (command) => {
      using node = new Node()
      const on = network(node, { type: "ptp" })
      const [one, two, next] = [node.pod(), node.pod(), node.pod()]
      const result = on.connect(one)
      on.connect(two)
      iptables(node, command)
      expect(on.check(one, result).error).toMatchObject({ code: 104 })
      expect(on.del(one)).toMatchObject(QUIET)
      expect(on.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
      expect(chains(node)).toEqual([])
      expect(on.check(next, on.connect(next))).toMatchObject(QUIET)
    },
  )

  test("iptables-restore, which loses whose they are, CHECK passes, and DEL removes them", () => {
    using node = new Node()
    const on = network(node, { type: "ptp" })
    const [pod, other] = [node.pod(), node.pod()]
    const result = on.connect(pod)
    on.connect(other)
    iptables(node, "iptables-save | iptables-restore", "ip6tables-save | ip6tables-restore")
    expect(on.check(pod, result)).toMatchObject(QUIET)
    expect(on.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
    expect([rulesOf(node, pod).length, rulesOf(node, other).length]).toEqual([0, 6])
  })
})

describe("GC", () => {
  test("removes the rules of attachments that are not valid, also the reference's, and no others", () => {
    using node = new Node()
    const on = network(node, { type: "ptp", ipam: hostLocal(node) })
    const [live, stale, theirs, staleTheirs, elsewhere] = [node.pod(), node.pod(), node.pod(), node.pod(), node.pod()]
    for (const pod of [live, stale]) on.connect(pod)
    for (const pod of [theirs, staleTheirs]) on.as("reference").connect(pod)
    on.as("ours", { name: "net2", ipam: hostLocal(node, ["10.245.0.0/16"]) }).connect(elsewhere)
    iptables(node, "iptables -t nat -A POSTROUTING -s 192.0.2.77 -j MASQUERADE -m comment --comment 'name: \"net\"'")
    const outcome = on.gc([live, theirs])
    expect(outcome).toMatchObject({ exitCode: 0, stdout: "" })
    expect([live, theirs, elsewhere, stale, staleTheirs].map((pod) => rulesOf(node, pod).length)).toEqual([
      3, 3, 3, 0, 0,
    ])
    expect(savedRules(node)).toHaveLength(10)
    expect(outcome.stderr).toMatch(/removed -A POSTROUTING -s 10\.244\.1\.3\/32 .* in table ip nat/)
    expect(on.gc([live, theirs])).toMatchObject(QUIET)
  })

  test("leaves a chain that a rule of others leads to, empty, and fails with code 102; DEL succeeds", () => {
    using node = new Node()
    const on = network(node, { type: "ptp", ipam: hostLocal(node) })
    const pods = [node.pod(), node.pod()] as const
    for (const pod of pods) on.connect(pod)
    const names = chains(node).map((line) => /CNI-\w+/.exec(line)?.[0])
    iptables(node, "iptables -t nat -N BY-HAND", ...names.map((name) => `iptables -t nat -A BY-HAND -j ${name}`))
    expect(on.del(pods[0])).toMatchObject({ exitCode: 0, stdout: "", stderr: expect.stringContaining("BY-HAND") })
    expect(on.gc([]).error).toMatchObject({ code: 102, msg: expect.stringContaining('of chain "BY-HAND"') })
    expect(savedRules(node).every((line) => line.includes("-A BY-HAND"))).toBe(true)
    iptables(node, "iptables -t nat -F BY-HAND")
    expect(on.gc([])).toMatchObject({ exitCode: 0 })
  })
})

describe("iptables-legacy with a table nat", () => {
  test.each(["ADD", "STATUS"])("is named by %s, which succeeds", (command) => {
    using node = new Node()
    iptables(node, "iptables-legacy -t nat -A POSTROUTING -s 192.0.2.7 -j MASQUERADE")
    const pod = node.pod()
    const { exitCode, stderr } = network(node).ask(command, command === "ADD" ? pod : undefined)
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("iptables-legacy has a table nat on this node")])
  })
})

test("a chain POSTROUTING at another hook is code 102, and left as it is", () => {
  using node = new Node()
  iptables(node, "nft 'add table ip6 nat; add chain ip6 nat POSTROUTING { type filter hook input priority 5; }'")
  const before = ruleset(node)
  const pod = node.pod()
  expect(network(node).add(pod).error).toMatchObject({
    code: 102,
    msg: expect.stringContaining("chain POSTROUTING of table ip6 nat is somebody else's"),
  })
  expect([ruleset(node), pod.link("eth0")]).toEqual([before, undefined])
})

test("an ADD that fails after its rules were made leaves none", () => {
  using node = new Node()
  node.ip("link", "add", "cni0", "type", "bridge")
  node.ip("addr", "add", "10.244.1.7/16", "dev", "cni0")
  expect(network(node, { ipam: hostLocal(node) }).add(node.pod()).error).toMatchObject({ code: 102 })
  expect([savedRules(node), chains(node)]).toEqual([[], []])
})

test("20 ADDs at once lose no rule, and their DELs leave none", async () => {
  using node = new Node()
  const { config } = network(node, { type: "ptp" })
  const pods = Array.from({ length: 20 }, () => node.pod())
  const all = async (command: string) => {
    const outcomes = await Promise.all(pods.map((netns) => node.callAsync("ptp", { command, netns, config })))
    expect(outcomes.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
  }
  await all("ADD")
  expect(pods.map((pod) => rulesOf(node, pod).length)).toEqual(pods.map(() => 6))
  await all("DEL")
  expect([savedRules(node), chains(node)]).toEqual([[], []])
})
