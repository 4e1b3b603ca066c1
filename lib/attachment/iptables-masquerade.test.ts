import { beforeEach, describe, expect, test } from "vitest"
import type { Attachment } from "../cni/attachment.ts"
import { type Family, families } from "../ip/address.ts"
import { parsePrefix } from "../ip/prefix.ts"
import { removeWithChains } from "../net/foreign-jumps.ts"
import { describeRule } from "../net/iptables.ts"
import { Undo } from "../net/undo.ts"
import { appendRule, flushChain, readTableRules } from "../netlink/netfilter/rule.ts"
import { ensureChain, ensureTable, listChains } from "../netlink/netfilter/ruleset.ts"
import { transact } from "../netlink/netfilter/transaction.ts"
import { decodeIptablesRule } from "../netlink/netfilter/xtables/decode.ts"
import { encodeIptablesRule } from "../netlink/netfilter/xtables/encode.ts"
import { formatIptablesRule, type IptablesRule } from "../netlink/netfilter/xtables/rule.ts"
import { iptablesChain, iptablesTable } from "../netlink/netfilter/xtables/tables.ts"
import { FakeNode } from "../testing/fake-node.ts"
import { silentLog } from "../testing/silent-log.ts"
import { attachmentAlias } from "./alias.ts"
import type { MasqueradeBackend } from "./interface-keys.ts"
import { ensureMasquerade, masqueradeProblem, masqueradeRules, removeMasquerade } from "./masquerade.ts"
import { hostVethName } from "./names.ts"

/** The network is `test` and the container `1234`: the reference's own tests give the name of their chain. */
const pod: Attachment = { network: "test", containerId: "1234", ifname: "eth0" }
const CHAIN = "CNI-2bbe0c48b91a7d1b8a6753a8"
const second: Attachment = { ...pod, ifname: "net1" }
const neighbour: Attachment = { ...pod, containerId: "c2" }
const elsewhere: Attachment = { ...pod, network: "other" }
const COMMENT = 'name: "test" id: "1234"'

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
})

const prefixes = (texts: readonly string[]) => texts.map((text) => parsePrefix(text)).filter((one) => one !== undefined)

interface Options {
  readonly backend?: MasqueradeBackend
  readonly undo?: Undo
}

function ensure(attachment: Attachment, addresses: readonly string[], options: Options = {}): void {
  const { backend = "iptables", undo = new Undo() } = options
  ensureMasquerade(node, { attachment, backend, addresses: prefixes(addresses), undo, log: silentLog })
}

function problem(attachment: Attachment, ...addresses: string[]): string | undefined {
  return masqueradeProblem(node, { attachment, backend: "iptables", addresses: prefixes(addresses) })
}

const del = (attachment: Attachment) =>
  removeWithChains(node.nfnetlink, () => masqueradeRules.planRemoval(node, attachment))

const collect = (valid: readonly Attachment[] | undefined) => masqueradeRules.collect(node, "test", valid).removed

/** Lists the rules of table nat as `iptables-save` does, those of a family. */
function saved(family: Family = 4): string[] {
  const table = iptablesTable(family, "nat")
  return readTableRules(node.again().nfnetlink, table, (rule) => {
    const decoded = decodeIptablesRule(rule, family)
    const text = decoded ? formatIptablesRule(decoded) : ""
    return describeRule({ table, name: rule.chain }, text).replace(/ in table.*/, "")
  })
}

function chains(): string[] {
  return families.flatMap((family) =>
    listChains(node.again().nfnetlink, iptablesTable(family, "nat")).map(({ name }) => name),
  )
}

/** Makes the rules as the Go plugin does, which leaves no notes. */
function byGoPlugin(attachment: Attachment, address: string): void {
  const other = new FakeNode()
  ensureMasquerade(other, {
    attachment,
    backend: "iptables",
    addresses: prefixes([address]),
    undo: new Undo(),
    log: silentLog,
  })
  const family = address.includes(":") ? 6 : 4
  const rules = readTableRules(other.nfnetlink, iptablesTable(family, "nat"), (rule) => {
    const read = decodeIptablesRule(rule, family)
    return read && ([rule.chain, read] as const)
  })
  add(family, rules)
}

function add(family: Family, rules: readonly (readonly [chain: string, rule: IptablesRule])[]): void {
  const chain = (name: string) => iptablesChain(family, "nat", name)
  transact(node.nfnetlink, () => [
    ensureTable(iptablesTable(family, "nat")),
    ...[...new Set(rules.map(([name]) => name))].map((name) => ensureChain(chain(name))),
    ...rules.map(([name, rule]) => appendRule(chain(name), encodeIptablesRule(rule, family))),
  ])
}

const said = `-m comment --comment "${COMMENT.replaceAll('"', '\\"')}"`

describe("ADD", () => {
  test("makes a chain for the container, and leads its address there", () => {
    ensure(pod, ["10.1.0.2/24", "fd00::2/64"])
    expect(saved()).toEqual([
      `-A POSTROUTING -s 10.1.0.2/32 ${said} -j ${CHAIN}`,
      `-A ${CHAIN} -d 10.1.0.0/24 ${said} -j ACCEPT`,
      `-A ${CHAIN} ! -d 224.0.0.0/4 ${said} -j MASQUERADE`,
    ])
    expect(saved(6)).toEqual([
      `-A POSTROUTING -s fd00::2/128 ${said} -j ${CHAIN}`,
      `-A ${CHAIN} -d fd00::/64 ${said} -j ACCEPT`,
      `-A ${CHAIN} ! -d ff00::/8 ${said} -j MASQUERADE`,
    ])
  })

  test("makes nothing in a family without addresses", () => {
    ensure(pod, ["fd00::2/64"])
    expect(saved()).toEqual([])
  })

  test("spares the networks of all addresses before it masquerades, also those of another interface of the container", () => {
    ensure(pod, ["10.1.0.2/24", "10.2.0.2/24"])
    ensure(second, ["10.3.0.2/24"])
    const inChain = saved().filter((line) => line.startsWith(`-A ${CHAIN}`))
    expect(inChain.map((line) => line.split(" ").at(-1))).toEqual(["ACCEPT", "ACCEPT", "ACCEPT", "MASQUERADE"])
    expect(saved().filter((line) => line.startsWith("-A POSTROUTING"))).toHaveLength(3)
  })

  test("adds to what the Go plugin left for the container what is missing", () => {
    byGoPlugin(pod, "10.1.0.2/24")
    const before = saved()
    ensure(pod, ["10.1.0.2/24"])
    expect(saved()).toEqual(before)
    ensure(second, ["10.1.0.3/24"])
    expect(saved()).toHaveLength(before.length + 1)
  })

  test("cuts a comment that is longer than iptables has room for", () => {
    const long = { ...pod, containerId: "c".repeat(300) }
    ensure(long, ["10.1.0.2/24"])
    expect(saved()[0]).toContain('c" -j')
    expect(problem(long, "10.1.0.2/24")).toBeUndefined()
    del(long)
    expect(saved()).toEqual([])
  })

  test("that fails takes back its own rules, and leaves those of the Go plugin for another interface", () => {
    byGoPlugin(pod, "10.1.0.2/24")
    const before = saved()
    {
      using undo = new Undo()
      ensure(second, ["10.1.0.3/24"], { undo })
      expect(saved()).not.toEqual(before)
    }
    expect(saved()).toEqual(before)
  })
})

describe("without ipMasqBackend", () => {
  const either = (attachment: Attachment) => {
    const before = saved().length
    ensure(attachment, ["10.1.0.9/24"], { backend: "either" })
    return saved().length > before ? "iptables" : "nftables"
  }

  test("it is nftables on a node where the network has no rules of iptables", () => {
    expect(either(neighbour)).toBe("nftables")
  })

  test("it is iptables while the Go plugin's pods of the network have such rules", () => {
    byGoPlugin(elsewhere, "10.1.0.2/24")
    expect(either(neighbour)).toBe("nftables")
    byGoPlugin(pod, "10.1.0.2/24")
    expect(either(neighbour)).toBe("iptables")
    del(pod)
    expect(either({ ...pod, containerId: "c3" })).toBe("nftables")
  })
})

describe("CHECK", () => {
  test.each<[string, () => void, string]>([
    ["the chain is empty", () => flush(CHAIN), `-A ${CHAIN} -d 10.1.0.0/24 -j ACCEPT in table ip nat`],
    ["nothing leads there", () => flush("POSTROUTING"), `-A POSTROUTING -s 10.1.0.2/32 -j ${CHAIN} in table ip nat`],
    ["both are gone", () => del(pod), `-A POSTROUTING -s 10.1.0.2/32 -j ${CHAIN} in table ip nat`],
  ])("says what is missing if %s", (_, harm, words) => {
    ensure(pod, ["10.1.0.2/24"])
    expect(problem(pod, "10.1.0.2/24")).toBeUndefined()
    harm()
    expect(problem(pod, "10.1.0.2/24")).toBe(`there is no rule ${words}`)
  })

  test("misses the rule that masquerades, and one for another address", () => {
    byGoPlugin(pod, "10.1.0.2/24")
    expect(problem(pod, "10.1.0.3/24")).toBe(
      `there is no rule -A POSTROUTING -s 10.1.0.3/32 -j ${CHAIN} in table ip nat`,
    )
    flush(CHAIN)
    const [network] = prefixes(["10.1.0.0/24"])
    if (network) add(4, [[CHAIN, { destination: network, action: { verdict: "accept" } }]])
    expect(problem(pod, "10.1.0.2/24")).toBe(
      `there is no rule -A ${CHAIN} ! -d 224.0.0.0/4 -j MASQUERADE in table ip nat`,
    )
  })

  test("takes the rules of either backend, whichever is configured", () => {
    ensure(pod, ["10.1.0.2/24"])
    ensure(neighbour, ["10.1.0.3/24"], { backend: "nftables" })
    for (const backend of ["iptables", "nftables", "either"] as const) {
      const check = (attachment: Attachment, address: string) =>
        masqueradeProblem(node, { attachment, backend, addresses: prefixes([address]) })
      expect([check(pod, "10.1.0.2/24"), check(neighbour, "10.1.0.3/24")]).toEqual([undefined, undefined])
    }
  })

  test("takes a rule for the address's whole network, as earlier Go plugins made it", () => {
    byGoPlugin(pod, "10.1.0.2/24")
    const [network] = prefixes(["10.1.0.0/24"])
    flush("POSTROUTING")
    if (network) add(4, [["POSTROUTING", { source: network, comment: COMMENT, action: { jump: CHAIN } }]])
    expect(problem(pod, "10.1.0.2/24")).toBeUndefined()
  })
})

describe("DEL", () => {
  test.each<[string, (attachment: Attachment, address: string) => void]>([
    ["ours", (attachment, address) => ensure(attachment, [address])],
    ["the Go plugin's", byGoPlugin],
  ])("removes what is %s, of both families, and nobody else's", (_, make) => {
    for (const [index, attachment] of [pod, neighbour, elsewhere].entries()) make(attachment, `10.1.0.${index + 2}/24`)
    make(pod, "fd00::2/64")
    expect(del(pod)).toEqual([])
    expect(saved().join()).not.toContain(CHAIN)
    expect(chains()).not.toContain(CHAIN)
    expect([saved().length, saved(6).length]).toEqual([6, 0])
  })

  test("of one interface leaves the container's other one its rules, of the other the chain goes too", () => {
    ensure(pod, ["10.1.0.2/24"])
    ensure(second, ["10.2.0.2/24"])
    del(pod)
    expect([problem(pod, "10.1.0.2/24"), problem(second, "10.2.0.2/24")]).toEqual([expect.any(String), undefined])
    del(pod)
    expect(problem(second, "10.2.0.2/24")).toBeUndefined()
    del(second)
    expect([saved(), chains()]).toEqual([[], ["POSTROUTING"]])
  })

  test("leaves another container that has got the address meanwhile", () => {
    for (const attachment of [pod, neighbour]) ensure(attachment, ["10.1.0.2/24"])
    del(pod)
    expect([problem(neighbour, "10.1.0.2/24"), saved().length]).toEqual([undefined, 3])
  })

  test.each(["POSTROUTING", CHAIN])("removes the rest after somebody has emptied %s", (name) => {
    ensure(pod, ["10.1.0.2/24"])
    flush(name)
    del(pod)
    expect([saved(), chains()]).toEqual([[], ["POSTROUTING"]])
  })

  test("of a node without tables changes nothing", () => {
    removeMasquerade(node, pod)
    expect([del(pod), chains()]).toEqual([[], []])
  })

  test("leaves the chain, empty, to which a rule of others leads, and names that", () => {
    ensure(pod, ["10.1.0.2/24"])
    add(4, [["BY-HAND", { action: { jump: CHAIN } }]])
    expect(del(pod)).toEqual([
      { chain: expect.objectContaining({ name: CHAIN }), words: expect.stringContaining('of chain "BY-HAND"') },
    ])
    expect(saved()).toEqual([`-A BY-HAND -j ${CHAIN}`])
  })
})

describe("GC", () => {
  test("removes what is of attachments that are not valid, also the Go plugin's, and names it", () => {
    ensure(pod, ["10.1.0.2/24", "fd00::2/64"])
    ensure(second, ["10.1.0.3/24"])
    ensure(elsewhere, ["10.1.0.4/24"])
    byGoPlugin(neighbour, "10.1.0.5/24")
    byGoPlugin({ ...pod, containerId: "c3" }, "10.1.0.6/24")
    const removed = collect([second, neighbour])
    expect(removed.map((line) => line.split(" ")[3])).toEqual(["10.1.0.2/32", "10.1.0.6/32", "fd00::2/128"])
    expect(problem(second, "10.1.0.3/24")).toBeUndefined()
    expect(problem(neighbour, "10.1.0.5/24")).toBeUndefined()
    expect(problem(elsewhere, "10.1.0.4/24")).toBeUndefined()
    expect(saved(6)).toEqual([])
    expect(collect([second, neighbour])).toEqual([])
  })

  test("that is told nothing removes what has a note and no veth, if all veths say whose they are", () => {
    ensure(pod, ["10.1.0.2/24"])
    ensure(neighbour, ["10.1.0.3/24"])
    byGoPlugin({ ...pod, containerId: "c3" }, "10.1.0.6/24")
    node.links.add({ name: hostVethName(neighbour), kind: "veth", alias: attachmentAlias(neighbour) })
    expect(collect(undefined)).toEqual([expect.stringContaining("10.1.0.2/32")])
    expect(saved()).toHaveLength(6)
  })

  test.each(["POSTROUTING", CHAIN])("removes the rest after somebody has emptied %s", (name) => {
    ensure(pod, ["10.1.0.2/24"])
    flush(name)
    expect(collect([])).toHaveLength(1)
    expect([saved(), chains()]).toEqual([[], ["POSTROUTING"]])
  })

  test("leaves a chain that looks like the Go plugin's and is not", () => {
    add(4, [
      ["CNI-BY-HAND", { action: { masquerade: true } }],
      ["POSTROUTING", { comment: COMMENT, action: { jump: "CNI-BY-HAND" } }],
    ])
    expect(collect([])).toEqual([])
  })
})

function flush(name: string): void {
  transact(node.nfnetlink, () => [flushChain(iptablesChain(4, "nat", name))])
}
