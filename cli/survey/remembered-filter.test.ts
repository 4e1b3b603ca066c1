import { beforeEach, expect, test } from "vitest"
import { ruleComment } from "../../lib/attachment/rule-comment.ts"
import { Conversation } from "../../lib/netlink/conversation.ts"
import {
  appendRule,
  decodeRule,
  findRule,
  flushChain,
  listing,
  listRules,
  listRulesByNote,
  listRulesWith,
  notedWith,
  readTableRules,
} from "../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable, listChains, readChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { FakeNode } from "../../lib/testing/fake-node.ts"
import { rememberedFilter } from "./remembered-filter.ts"

const table = { family: "inet", name: "cni_plugins_masquerade" } as const
const [chain, other] = ["masq_checks", "site"].map((name) => ({ table, name })) as [Named, Named]
type Named = { table: typeof table; name: string }
const attachments = ["c1", "c2"].map((containerId) => ({ network: "podnet", containerId, ifname: "eth0" }))

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
  const comments = [...attachments.map(ruleComment), "of the site", undefined]
  const rules = comments.map((comment, at) => ({ expressions: [], comment, ...(at > 0 && { note: `note ${at}` }) }))
  transact(node.nfnetlink, () => [
    ensureTable(table),
    ensureChain(chain),
    ensureChain(other),
    ...rules.map((rule) => appendRule(chain, rule)),
    appendRule(other, { expressions: [], comment: "elsewhere" }),
  ])
})

test("a remembered packet filter knows every way in which the kernel is asked", () => {
  const unused = { send: () => undefined, receive: () => new Uint8Array(), [Symbol.dispose]: () => undefined }
  const filter = rememberedFilter(new Conversation(unused), []).as()
  const known = Object.getOwnPropertyNames(Object.getPrototypeOf(filter))
  const ways = Object.getOwnPropertyNames(Conversation.prototype).filter((name) => name !== "indexOf") // of links: a filter has none
  expect(known).toEqual(expect.arrayContaining(ways))
})

/** Every way in which rules and chains are asked for; with what is there and what is not. */
const ways: Readonly<Record<string, (filter: Conversation) => unknown>> = {
  rules: (filter) => listRules(filter, chain).map(comment),
  "rules by comment": (filter) => listRules(filter, chain, "of the").map(comment),
  "rules by note": (filter) => listRulesByNote(filter, chain, "note 2").map(comment),
  "rules by text": (filter) => listRulesWith(filter, chain, "c1").map(comment),
  "rules that a sieve lets through": (filter) =>
    filter.dump(listing(table, chain), decodeRule, notedWith(new TextEncoder().encode("note 2"))).values.map(comment),
  "rules of a table": (filter) => readTableRules(filter, table, comment),
  "rules of no chain": (filter) => listRules(filter, { table, name: "none" }),
  "rules of no table": (filter) => listRules(filter, { table: { ...table, name: "none" }, name: "none" }),
  "a rule": (filter) => comment(findRule(filter, chain, listRules(filter, chain)[1]?.handle ?? 0n)),
  "a rule of another chain": (filter) => findRule(filter, other, listRules(filter, chain)[1]?.handle ?? 0n),
  "no rule": (filter) => findRule(filter, chain, 999n),
  "a chain": (filter) => readChain(filter, chain),
  "no chain": (filter) => readChain(filter, { table, name: "none" }),
  chains: (filter) => listChains(filter, table),
}
const comment = (rule: { readonly comment?: string | undefined } | undefined) => rule?.comment ?? "none"

test.each(Object.keys(ways))("it answers as the kernel does: %s", (name) => {
  const way = ways[name]
  const filter = rememberedFilter(node.again().nfnetlink, attachments).as()
  for (let times = 0; times < 2; times++) expect(way?.(filter)).toEqual(way?.(node.nfnetlink))
})

test("a container's has its rules and those of nobody", () => {
  const filter = rememberedFilter(node.nfnetlink, attachments).as("c2")
  expect(listRules(filter, chain).map(comment)).toEqual([expect.stringContaining("id: c2"), "of the site", "none"])
})

test("the rules of a table are read once, until something is changed", () => {
  const filters = rememberedFilter(node.nfnetlink, attachments)
  const asked = () => node.filterRequests.length
  const [before, own] = [asked(), filters.as("c1")]
  listRules(own, chain)
  for (const containerId of ["c1", "c2"]) listRules(filters.as(containerId), chain)
  for (const { handle } of listRules(own, chain)) findRule(own, chain, handle)
  listRules(filters.as(), other)
  expect(asked() - before).toBe(1)
  transact(own, () => [flushChain(chain)])
  expect(listRules(filters.as("c2"), chain)).toEqual([])
})
