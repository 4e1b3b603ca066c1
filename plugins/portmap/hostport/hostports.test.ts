import { beforeEach, describe, expect, test, vi } from "vitest"
import { attachmentAlias } from "../../../lib/attachment/alias.ts"
import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { hostVethName } from "../../../lib/attachment/names.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import { decodeSteps } from "../../../lib/netlink/netfilter/expression.ts"
import { transfer } from "../../../lib/netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, flushChain, listRules } from "../../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable, readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { ensureSet, flushSet } from "../../../lib/netlink/netfilter/set.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import { deleteSet } from "../../../lib/testing/delete-set.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import { podMappings, portmapConfig, redirections, tcp } from "../../../lib/testing/host-ports.ts"
import type { Match } from "../packet-match.ts"
import { collectHostports, ensureHostports, removeHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { mappingRule } from "./pod-rules.ts"
import { listPodRules } from "./rule-list.ts"
import { findDifference } from "./verify.ts"

vi.mock("../../../lib/attachment/live-addresses.ts", () => ({ readLiveAddresses: vi.fn() }))

const layout = layoutOf(4)
const [ADDRESS, OTHER] = ["10.1.0.2/24", "10.1.0.3/24"]
const pod: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const neighbour: Attachment = { ...pod, containerId: "c2" }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
  vi.mocked(readLiveAddresses).mockReturnValue(undefined)
})

const rules = () => listPodRules(node.again().nfnetlink, layout)
const led = () => redirections(node)
const collect = (network: string, valid?: readonly Attachment[]) => [...collectHostports(node, network, valid)].flat()
const prefix = (text: string) => parsePrefix(text) ?? podMappings(ADDRESS, []).network
const addVeth = (attachment: Attachment) =>
  node.links.add({ name: hostVethName(attachment), kind: "veth", alias: attachmentAlias(attachment), master: 1 })

/** Makes rules as the Go plugin does: without a note, and shared ones of its own, with conditions for all pods. */
function mapAsGoPlugin(containerId: string, text: string, hostPort: number, conditions: readonly Match[] = []): void {
  const { hostports, shared } = layout
  const wanted = podMappings(text, [])
  const expressions = mappingRule(wanted, tcp(hostPort))
  const before = mappingRule({ ...wanted, conditions }, tcp(hostPort)).slice(0, -expressions.length)
  transact(node.nfnetlink, () => [
    ensureTable(layout.table),
    ...[hostports, layout.hostIpHostports, layout.masquerading, ...shared.map(({ chain }) => chain)].map(ensureChain),
    ...shared.flatMap(({ chain, rules }, at) => [
      flushChain(chain),
      ...rules.map((rule) =>
        appendRule(chain, { expressions: at === 0 ? rule.expressions : [...before, ...rule.expressions] }),
      ),
    ]),
    appendRule(hostports, { expressions, comment: containerId }),
  ])
}

describe("ADD", () => {
  test("leads the ports of both families to the pod, in one transaction", () => {
    const pods = [podMappings(ADDRESS, [tcp(80), tcp(81, "192.0.2.1")]), podMappings("fd00::2/64", [tcp(80)])]
    ensureHostports(node, pod, pods)
    expect(led()).toEqual([
      "c1, podnet eth0: 80 -> 10.1.0.2",
      "c1, podnet eth0: 192.0.2.1:81 -> 10.1.0.2",
      "c1, podnet eth0: 80 -> fd00::2",
    ])
    for (const one of pods) expect(findDifference(node, pod, portmapConfig(), one)).toBeUndefined()
  })

  test("again, as after a killed one, replaces what was there, also with other ports and addresses", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80), tcp(81)])])
    const count = rules().length
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80), tcp(81)])])
    expect(rules()).toHaveLength(count)
    ensureHostports(node, pod, [podMappings(OTHER, [tcp(81), tcp(82)])])
    expect(led()).toEqual(["c1, podnet eth0: 81 -> 10.1.0.3", "c1, podnet eth0: 82 -> 10.1.0.3"])
    expect(rules()).toHaveLength(count)
    ensureHostports(node, neighbour, [podMappings(ADDRESS, [tcp(80)])])
  })

  test("again leaves no rules of a family that it no longer wants", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)]), podMappings("fd00::2/64", [tcp(80)])])
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    expect(led()).toEqual(["c1, podnet eth0: 80 -> 10.1.0.2"])
  })

  test("of one pod with conditions does not apply them to another", () => {
    const conditions: Match[] = [{ field: "saddr", prefix: prefix("192.0.2.0/24"), not: false }]
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)], { conditions })])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    const steps = listRules(node.nfnetlink, layout.hostports).map((rule) => rule.expressions())
    expect(steps[0]).toHaveLength((steps[1]?.length ?? 0) + 2)
    expect(steps[1]).toEqual(mappingRule(podMappings(OTHER, []), tcp(81)).flatMap(decodeSteps))
    for (const { chain } of layout.shared) {
      const shared = listRules(node.nfnetlink, chain).flatMap((rule) => rule.expressions())
      expect(shared.map(({ name }) => name)).not.toContain("payload")
    }
  })

  test("gives pods of the Go plugin the conditions that stood before its shared rules", () => {
    mapAsGoPlugin("go", OTHER, 81, [{ field: "saddr", prefix: prefix("192.0.2.0/24"), not: false }])
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    const found = listRules(node.nfnetlink, layout.hostports)
    const ofGo = found.find(({ comment }) => comment === "go")?.expressions() ?? []
    expect(ofGo.slice(0, 2).map(({ name }) => name)).toEqual(["payload", "cmp"])
    expect(ofGo.slice(2)).toEqual(mappingRule(podMappings(OTHER, []), tcp(81)).flatMap(decodeSteps))
    expect(led()).toHaveLength(2)
  })

  test.each([
    [
      "a chain at another hook",
      () => [ensureChain({ ...layout.hostports, base: layout.masquerading.base })],
      "chain hostports of table ip cni_hostport is not the one that leads host ports to pods",
    ],
    ["a set of another kind", () => [ensureSet({ ...layout.claims, type: "ifname" as const })], "set claims"],
  ])("says so if another program has a table of the name, with %s, and changes nothing", (_, changes, words) => {
    transact(node.nfnetlink, () => [ensureTable(layout.table), ...changes()])
    expect(() => ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])).toThrow(words)
    expect(readChain(node.nfnetlink, { table: layout.table, name: "prerouting" })).toBeUndefined()
  })
})

describe("a port that another pod has", () => {
  beforeEach(() => ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80), tcp(81, "192.0.2.1")])]))

  test.each([
    ["any address", tcp(80)],
    ["one address, the other having any", tcp(80, "192.0.2.1")],
    ["the same address", tcp(81, "192.0.2.1")],
    ["any address, the other having one", tcp(81)],
  ])("is refused, for %s, and nothing of the new pod is done", (_, mapping) => {
    const before = rules()
    expect(() => ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(99), mapping])])).toThrow(
      /is taken by container c1 \(network podnet, interface eth0\)/,
    )
    expect(rules()).toEqual(before)
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(99)])])
  })

  test("is refused in the family in which it is taken, and nothing is done in the other", () => {
    const wanted = [podMappings("fd00::3/64", [tcp(80)]), podMappings(OTHER, [tcp(80)])]
    expect(() => ensureHostports(node, neighbour, wanted)).toThrow("80/tcp is taken")
    expect(led().join()).not.toContain("fd00")
  })

  test("of another protocol, or another address, is free", () => {
    const udp = { ...tcp(80), protocol: "udp" as const }
    ensureHostports(node, neighbour, [podMappings(OTHER, [udp, tcp(81, "192.0.2.2")])])
    expect(led()).toHaveLength(4)
  })

  test("is free after DEL of that pod", () => {
    removeHostports(node, pod)
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(80), tcp(81)])])
    expect(led()).toHaveLength(2)
  })

  test("of the Go plugin's is refused too, though no set tells", () => {
    mapAsGoPlugin("go", "10.1.0.9/24", 90)
    expect(() => ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(90)])])).toThrow("taken by container go")
  })

  test("is given to two pods that are added at once only once", () => {
    removeHostports(node, pod)
    node.meanwhile(0x10, () => ensureHostports(node.again(), pod, [podMappings(ADDRESS, [tcp(80)])]))
    expect(() => ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(80)])])).toThrow("taken by container c1")
    expect(led()).toEqual(["c1, podnet eth0: 80 -> 10.1.0.2"])
  })

  test("is taken over from a pod that is certainly gone, with all its rules", () => {
    addVeth(neighbour)
    vi.mocked(readLiveAddresses).mockReturnValue(new Set())
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(80)])])
    expect(led()).toEqual(["c2, podnet eth0: 80 -> 10.1.0.3"])
    expect(rules().map(({ comment }) => comment)).not.toContain("c1")
  })
})

describe.each<[string, Attachment]>([
  ["two networks", { ...pod, network: "other" }],
  ["two interfaces", { ...pod, ifname: "net1" }],
])("%s of one container", (_, second) => {
  beforeEach(() => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    ensureHostports(node, second, [podMappings(OTHER, [tcp(80)])])
  })

  const FIRST = "c1, podnet eth0: 80 -> 10.1.0.2"
  const SECOND = `c1, ${second.network} ${second.ifname}: 80 -> 10.1.0.3`

  test("may have the same port, and DEL of one leaves the other's rules, and the port taken", () => {
    expect(led()).toEqual([FIRST, SECOND])
    removeHostports(node, pod)
    expect(led()).toEqual([SECOND])
    expect(findDifference(node, second, portmapConfig(), podMappings(OTHER, [tcp(80)]))).toBeUndefined()
    expect(() => ensureHostports(node, neighbour, [podMappings("10.1.0.9/24", [tcp(80)])])).toThrow("taken")
    removeHostports(node, second)
    ensureHostports(node, neighbour, [podMappings("10.1.0.9/24", [tcp(80)])])
  })

  test("are told apart by a repeated ADD of one", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(82)])])
    expect(led().sort()).toEqual([SECOND, FIRST.replace(": 80", ": 82")].sort())
  })

  test("are told apart by GC, and what stays is still found by DEL", () => {
    expect(collect("podnet", second.network === "podnet" ? [second] : [])).toHaveLength(3)
    expect(led()).toEqual([SECOND])
    removeHostports(node, second)
    expect(rules()).toEqual([])
  })
})

describe("DEL", () => {
  test("removes all rules of the attachment, and returns them", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)]), podMappings("fd00::2/64", [tcp(80)])])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    expect(removeHostports(node, pod).rules).toHaveLength(3 + 2)
    expect(removeHostports(node, pod).rules).toEqual([])
    expect(led()).toEqual(["c2, podnet eth0: 81 -> 10.1.0.3"])
  })

  test("removes the rules of a pod that the Go plugin added", () => {
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    mapAsGoPlugin("c1", ADDRESS, 80)
    removeHostports(node, pod)
    expect(led()).toEqual(["c2, podnet eth0: 81 -> 10.1.0.3"])
  })

  test("finds the rules of a container whose id nft has no room for", () => {
    const long: Attachment = { ...pod, containerId: "c".repeat(200) }
    ensureHostports(node, long, [podMappings(ADDRESS, [tcp(80)])])
    ensureHostports(node, { ...long, containerId: `${long.containerId}d` }, [podMappings(OTHER, [tcp(81)])])
    removeHostports(node, long)
    expect(led()).toHaveLength(1)
  })

  test("finds the rules though somebody emptied the set that lists containers", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    transact(node.nfnetlink, () => [flushSet(layout.containers)])
    removeHostports(node, pod)
    expect(rules()).toEqual([])
  })

  test("names the rules of others that hold what the Go plugin's iptables backend left, and removes all else", () => {
    const nat = { family: "ip", name: "nat" } as const
    const own = { table: nat, name: `CNI-DN-${sha512Hex(pod.network + pod.containerId).slice(0, 21)}` }
    const [entry, others] = ["CNI-HOSTPORT-DNAT", "others"].map((name) => ({ table: nat, name })) as [
      typeof own,
      typeof own,
    ]
    const jump = { expressions: [transfer("jump", own.name)], comment: "mine" }
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    transact(node.nfnetlink, () => [
      ensureTable(nat),
      ...[own, entry, others].map(ensureChain),
      ...[entry, others].map((chain) => appendRule(chain, jump)),
    ])
    const { rules: removed, held } = removeHostports(node, pod)
    expect(removed).toHaveLength(3)
    expect(held.map(({ words }) => words)).toEqual([expect.stringContaining('of chain "others" ("mine")')])
    expect([rules(), listRules(node.nfnetlink, entry)]).toEqual([[], []])
  })

  test("succeeds if nothing was ever added", () => {
    expect(removeHostports(node, pod)).toEqual({ rules: [], held: [] })
  })
})

describe("GC", () => {
  const elsewhere: Attachment = { ...pod, network: "podnet2", containerId: "c3" }

  beforeEach(() => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    ensureHostports(node, elsewhere, [podMappings("10.2.0.2/24", [tcp(82)])])
  })

  test("removes the network's rules of attachments that are not valid, and frees their ports", () => {
    expect(collect("podnet", [neighbour])).toHaveLength(3)
    expect(led()).toEqual(["c2, podnet eth0: 81 -> 10.1.0.3", "c3, podnet2 eth0: 82 -> 10.2.0.2"])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(80)])])
  })

  test("leaves the Go plugin's rules, which do not say of which network they are", () => {
    mapAsGoPlugin("go", "10.1.0.9/24", 90)
    collect("podnet", [])
    expect(led()).toEqual(["c3, podnet2 eth0: 82 -> 10.2.0.2", "go, undefined: 90 -> 10.1.0.9"])
  })

  test("that is told nothing removes the rules of pods that have neither veth nor address any more", () => {
    addVeth(neighbour)
    vi.mocked(readLiveAddresses).mockReturnValue(new Set())
    expect(collect("podnet")).toHaveLength(3)
    expect(led()).toEqual(["c2, podnet eth0: 81 -> 10.1.0.3", "c3, podnet2 eth0: 82 -> 10.2.0.2"])
  })

  test("spares a pod that is added in the middle of it", () => {
    const late: Attachment = { ...pod, containerId: "late" }
    vi.mocked(readLiveAddresses).mockReturnValue(new Set())
    node.meanwhile(0x10, () => {
      addVeth(late)
      ensureHostports(node.again(), late, [podMappings("10.1.0.8/24", [tcp(88)])])
    })
    collect("podnet")
    expect(led()).toEqual(["c3, podnet2 eth0: 82 -> 10.2.0.2", "late, podnet eth0: 88 -> 10.1.0.8"])
    expect(() => ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(88)])])).toThrow("taken by container late")
  })
})

describe("the sets that tell what is taken", () => {
  const wanted = [podMappings(OTHER, [tcp(80)])]
  beforeEach(() => ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])]))

  test("are no obstacle if somebody removed the rules behind them", () => {
    transact(node.nfnetlink, () =>
      rules().map(({ chain, handle }) => deleteRule({ ...layout.hostports, name: chain }, handle)),
    )
    ensureHostports(node, neighbour, wanted)
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(81)])])
    expect(led()).toHaveLength(2)
  })

  test("do not hide a port that is taken if somebody emptied them", () => {
    transact(node.nfnetlink, () => [flushSet(layout.claims), flushSet(layout.containers)])
    expect(() => ensureHostports(node, neighbour, wanted)).toThrow("taken by container c1")
  })

  test.each(["claims", "containers"] as const)("do not hide a port that is taken if somebody deleted %s", (name) => {
    transact(node.nfnetlink, () => [deleteSet(layout[name])])
    expect(() => ensureHostports(node, neighbour, wanted)).toThrow("taken by container c1")
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(81)])])
    expect(led()).toHaveLength(2)
  })

  test.each(["claims", "containers"] as const)("keep no DEL from its work if somebody deleted %s", (name) => {
    transact(node.nfnetlink, () => [deleteSet(layout[name])])
    expect(removeHostports(node, pod).rules).toHaveLength(3)
    ensureHostports(node, neighbour, wanted)
    expect(led()).toEqual(["c2, podnet eth0: 80 -> 10.1.0.3"])
  })

  test("know of a repeated ADD's ports, and of none that it gave up", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(81)])])
    ensureHostports(node, neighbour, wanted)
    expect(() => ensureHostports(node, { ...pod, containerId: "c3" }, [podMappings(OTHER, [tcp(81)])])).toThrow("taken")
  })
})
