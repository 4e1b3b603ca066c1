import { beforeEach, describe, expect, test } from "vitest"
import type { Attachment } from "../cni/attachment.ts"
import { parsePrefix } from "../ip/prefix.ts"
import { Undo } from "../net/undo.ts"
import { flushChain, listRules } from "../netlink/netfilter/rule.ts"
import { deleteChain, ensureChain, ensureTable, listChains, MSG, readChain } from "../netlink/netfilter/ruleset.ts"
import { transact } from "../netlink/netfilter/transaction.ts"
import { FakeNode } from "../testing/fake-node.ts"
import { silentLog } from "../testing/silent-log.ts"
import { attachmentAlias } from "./alias.ts"
import { ensureMasquerade, masqueradeProblem, masqueradeRules, removeMasquerade } from "./masquerade.ts"
import { hostVethName } from "./names.ts"

const table = { family: "inet", name: "cni_plugins_masquerade" } as const
const [checks, postrouting] = ["masq_checks", "postrouting"].map((name) => ({ table, name })) as [Named, Named]
type Named = { table: typeof table; name: string }

const [ADDRESS, OTHER] = ["10.1.0.2/24", "10.1.0.3/24"]
const pod: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const neighbour: Attachment = { ...pod, containerId: "c2" }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
})

const prefixes = (texts: readonly string[]) => texts.map((text) => parsePrefix(text)).filter((one) => one !== undefined)

function ensure(attachment: Attachment, addresses = [ADDRESS], { undo = new Undo(), on = node } = {}): void {
  ensureMasquerade(on, { attachment, backend: "nftables", addresses: prefixes(addresses), undo, log: silentLog })
}

/** Lists whose rules there are: an attachment once for each. */
function masqueraded(): (string | undefined)[] {
  return listRules(node.again().nfnetlink, checks).map(({ comment }) => comment?.replace(/^.*, net: /, ""))
}

function addVeth(attachment: Attachment): void {
  node.links.add({ name: hostVethName(attachment), kind: "veth", alias: attachmentAlias(attachment) })
}

const problem = (attachment: Attachment, addresses = [ADDRESS]) =>
  masqueradeProblem(node, { attachment, backend: "nftables", addresses: prefixes(addresses) })

test("each address of a pod is masqueraded, but for one that nothing is outside of", () => {
  ensure(pod, [ADDRESS, "fd00::2/64", "10.9.0.2/0"])
  expect(masqueraded()).toHaveLength(2)
  expect(problem(pod, [ADDRESS, "fd00::2/64", "10.9.0.2/0"])).toBeUndefined()
  expect(problem(pod, [OTHER])).toContain("masquerades 10.1.0.3/24")
  expect(problem(neighbour)).toContain("no rule")
})

test("each of more addresses than an anchor has rules is masqueraded", () => {
  const many = Array.from({ length: 41 }, (_, at) => `10.1.0.${at + 2}/24`)
  ensure(pod, many)
  expect(masqueraded()).toHaveLength(41)
  expect(problem(pod, many)).toBeUndefined()
  removeMasquerade(node, pod)
  expect(masqueraded()).toEqual([])
})

describe("DEL", () => {
  test("removes the rules that a killed ADD left, too", () => {
    ensure(pod, ["10.1.0.9/24"])
    ensure(pod)
    removeMasquerade(node, pod)
    expect(masqueraded()).toEqual([])
  })

  test.each<[string, Attachment]>([
    ["another network of the same container", { ...pod, network: "other" }],
    ["another interface of the same container", { ...pod, ifname: "eth1" }],
    ["an interface whose name begins alike", { ...pod, ifname: "eth00" }],
    ["another container that has got the address meanwhile", neighbour],
  ])("leaves %s", (_, other) => {
    ensure(pod)
    ensure(other)
    removeMasquerade(node, pod)
    expect(masqueraded()).toEqual([`${other.network}, if: ${other.ifname}, id: ${other.containerId}`])
    expect(problem(other)).toBeUndefined()
  })

  test("of a node without rules changes nothing", () => {
    removeMasquerade(node, pod)
    expect(readChain(node.nfnetlink, checks)).toBeUndefined()
  })
})

test("an ADD that fails takes back its own rules, and nobody else's", () => {
  ensure(neighbour, [OTHER])
  {
    using undo = new Undo()
    ensure(pod, [ADDRESS], { undo })
    expect(masqueraded()).toHaveLength(2)
  }
  expect(masqueraded()).toEqual(["podnet, if: eth0, id: c2"])
})

describe("the anchor of an attachment's rules", () => {
  const anchors = () => listChains(node.again().nfnetlink, table).filter(({ name }) => name.startsWith("cni-ts-"))
  const emptyChecks = () => transact(node.again().nfnetlink, () => [flushChain(checks)])

  test("goes with them by DEL and GC, and others' stay", () => {
    for (const attachment of [pod, neighbour]) ensure(attachment)
    expect(anchors()).toHaveLength(2)
    removeMasquerade(node, pod)
    expect(anchors()).toHaveLength(1)
    masqueradeRules.collect(node, "podnet", [])
    expect(anchors()).toEqual([])
  })

  test("that is left without rules, as by the Go plugin's DEL, is in nobody's way, and DEL and GC remove it", () => {
    ensure(pod)
    emptyChecks()
    expect(problem(pod)).toContain("no rule")
    ensure(pod)
    expect([problem(pod), masqueraded().length, anchors().length]).toEqual([undefined, 1, 1])
    emptyChecks()
    removeMasquerade(node, pod)
    expect(anchors()).toEqual([])
    ensure(pod)
    emptyChecks()
    masqueradeRules.collect(node, "podnet", [])
    expect(anchors()).toEqual([])
  })

  test("is not needed: rules without one, as of earlier builds and the Go plugin, are found too", () => {
    ensure(pod)
    transact(node.again().nfnetlink, () => anchors().map(deleteChain))
    expect(problem(pod)).toBeUndefined()
    removeMasquerade(node, pod)
    expect(masqueraded()).toEqual([])
  })
})

describe("the rules that pods share", () => {
  test("are written once, and again if somebody emptied their chain, which CHECK notices", () => {
    ensure(pod)
    const [first] = listRules(node.nfnetlink, postrouting)
    ensure(neighbour, [OTHER])
    expect(listRules(node.nfnetlink, postrouting)[0]?.handle).toBe(first?.handle)
    transact(node.nfnetlink, () => [flushChain(postrouting)])
    expect(problem(pod)).toContain("are not those that lead to masq_checks")
    ensure(pod)
    expect(problem(neighbour, [OTHER])).toBeUndefined()
    expect(listRules(node.nfnetlink, postrouting)).toHaveLength(3)
  })

  test.each([
    ["the one at the hook", postrouting, "filter"],
    ["the one that it leads to", checks, "nat"],
  ] as const)("if %s is another program's, ADD says so and adds nothing", (_, chain, type) => {
    const base = { type, hook: "postrouting", priority: 5, policy: "accept" } as const
    transact(node.nfnetlink, () => [ensureTable(table), ensureChain({ ...chain, base })])
    expect(() => ensure(pod)).toThrow(`chain ${chain.name} of table inet cni_plugins_masquerade is somebody else's`)
    expect(masqueraded()).toEqual([])
    expect(readChain(node.nfnetlink, chain)?.base).toEqual(base)
  })
})

describe("GC", () => {
  const elsewhere: Attachment = { ...pod, network: "podnet2" }

  test("removes the network's rules of attachments that are not valid, and names them", () => {
    for (const attachment of [pod, neighbour, elsewhere]) ensure(attachment)
    expect(masqueradeRules.collect(node, "podnet", [neighbour]).removed).toEqual([expect.stringContaining("id: c1")])
    expect(masqueraded()).toEqual(["podnet, if: eth0, id: c2", "podnet2, if: eth0, id: c1"])
  })

  test("that is told nothing spares those that have a veth, and all while one does not say whose it is", () => {
    for (const attachment of [pod, neighbour]) ensure(attachment)
    addVeth(neighbour)
    node.links.add({ name: "veth12345678", kind: "veth" })
    expect(masqueradeRules.collect(node, "podnet", undefined).removed).toEqual([])
    node.links.remove("veth12345678")
    expect(masqueradeRules.collect(node, "podnet", undefined).removed).toEqual([expect.stringContaining("id: c1")])
    expect(masqueraded()).toEqual(["podnet, if: eth0, id: c2"])
  })

  test.each([
    ["it reads the generation", 0xa00 + MSG.GETGEN],
    ["it lists the rules", 0xa00 + MSG.GETRULE],
    ["it removes what is stale", 0x10],
  ])("spares a pod that is added just before %s", (_, type) => {
    ensure(pod)
    node.meanwhile(type, () => {
      addVeth(neighbour)
      ensure(neighbour, [OTHER], { on: node.again() })
    })
    expect(masqueradeRules.collect(node, "podnet", undefined).removed).toEqual([expect.stringContaining("id: c1")])
    expect(masqueraded()).toEqual(["podnet, if: eth0, id: c2"])
  })
})
