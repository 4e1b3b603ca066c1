import { beforeEach, expect, test } from "vitest"
import { transfer, verdict } from "../netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, flushChain, listRules } from "../netlink/netfilter/rule.ts"
import { ensureChain, ensureTable, listChains } from "../netlink/netfilter/ruleset.ts"
import { transact } from "../netlink/netfilter/transaction.ts"
import { FakeNode } from "../testing/fake-node.ts"
import { type Removal, removeWithChains } from "./foreign-jumps.ts"

const table = { family: "ip", name: "t" } as const
const [caller, one, two, others] = ["caller", "one", "two", "others"].map((name) => ({ table, name })) as [
  Named,
  Named,
  Named,
  Named,
]
type Named = { table: typeof table; name: string }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
  transact(node.nfnetlink, () => [
    ensureTable(table),
    ...[caller, one, two, others].map(ensureChain),
    ...[one, two].map(({ name }) => appendRule(caller, { expressions: [transfer("jump", name)] })),
    appendRule(one, { expressions: [verdict("drop")] }),
  ])
})

/** Plans the removal of all that the caller leads to. */
function plan(): Removal {
  const jumps = listRules(node.nfnetlink, caller).map(({ handle }) => deleteRule(caller, handle))
  const chains = listChains(node.nfnetlink, table).filter(({ name }) => name === one.name || name === two.name)
  return { changes: [...jumps, ...chains.map(flushChain)], chains }
}

const left = () => listChains(node.nfnetlink, table).map(({ name }) => name)

test("rules and chains go in one transaction", () => {
  const before = node.filterRequests.length
  expect(removeWithChains(node.nfnetlink, plan)).toEqual([])
  expect(node.filterRequests).toHaveLength(before + 4) // generation, rules, chains, transaction
  expect(left()).toEqual(["caller", "others"])
})

test("a chain that rules of others lead to is emptied, stays, and these are named; all else goes", () => {
  const foreign = { expressions: [transfer("goto", one.name)], comment: "mine" }
  transact(node.nfnetlink, () => [appendRule(others, foreign)])
  const [rule] = listRules(node.nfnetlink, others)
  expect(removeWithChains(node.nfnetlink, plan)).toMatchObject([
    { words: expect.stringContaining(`rule handle ${rule?.handle} of chain "others" ("mine")`) },
  ])
  expect(left()).toEqual(["caller", "one", "others"])
  expect([one, caller].flatMap((chain) => listRules(node.nfnetlink, chain))).toEqual([])
})

test("a jump that is gone by the time the chain is looked at again holds nothing", () => {
  transact(node.nfnetlink, () => [appendRule(others, { expressions: [transfer("jump", one.name)] })])
  let plans = 0
  const held = removeWithChains(node.nfnetlink, () => {
    if (++plans === 2) transact(node.again().nfnetlink, () => [flushChain(others)])
    return plan()
  })
  expect(held).toEqual([])
  expect(left()).toEqual(["caller", "others"])
})
