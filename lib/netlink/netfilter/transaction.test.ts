import { describe, expect, test } from "vitest"
import { acknowledge, done, FakeKernel, part, refuse } from "../../testing/fake-kernel.ts"
import { decodeMessages, type Message } from "../message.ts"
import { deleteRule, flushChain, listRules } from "./rule.ts"
import { cleanUp, readGeneration, retried, transact } from "./transaction.ts"

const [BEGIN, END, DELRULE, GETRULE, GETGEN] = [0x10, 0x11, 0xa08, 0xa07, 0xa10]
const [ENOENT, EINVAL, ERESTART] = [2, 22, 85]
const NLM_F_ACK = 4

const chain = { table: { family: "inet", name: "t" }, name: "c" } as const

/** Answers as nf_tables does: `refusals` by type of message, the acknowledgement of the last change, the generation. */
function kernel(refusals: (message: Message) => number | undefined, generations: number[] = [7]) {
  return new FakeKernel((message) => {
    const errno = refusals(message)
    if (errno) return [refuse(message, errno)]
    if (message.type === GETGEN) {
      const generation = (generations.length > 1 ? generations.shift() : generations[0]) ?? 0
      return [
        part(message, 0xa0f, [Uint8Array.of(0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, generation)], 0),
        acknowledge(message),
      ]
    }
    return message.flags & NLM_F_ACK ? [acknowledge(message)] : []
  })
}

const typesIn = (fake: FakeKernel) => fake.requests.map((request) => decodeMessages(request).map(({ type }) => type))

describe("a transaction", () => {
  test("is one datagram that names the generation it was planned on", () => {
    const fake = kernel(() => undefined)
    transact(fake.conversation, () => [flushChain(chain), deleteRule(chain, 5n)])
    expect(typesIn(fake)).toEqual([[GETGEN], [BEGIN, DELRULE, DELRULE, END]])
    const [begin] = decodeMessages(fake.requests[1] ?? new Uint8Array())
    expect([...(begin?.payload ?? [])]).toEqual([0, 0, 0, 10, 8, 0, 1, 0, 0, 0, 0, 7])
  })

  test("without changes is not sent", () => {
    const fake = kernel(() => undefined)
    transact(fake.conversation, () => [])
    expect(typesIn(fake)).toEqual([[GETGEN]])
  })

  test("says which change was refused, the first of several", () => {
    const fake = kernel(({ type }) => (type === DELRULE ? ENOENT : undefined))
    expect(() => transact(fake.conversation, () => [deleteRule(chain, 5n), deleteRule(chain, 6n)])).toThrow(
      "cannot delete rule 5 of chain c of table inet t: ENOENT",
    )
    expect(readGeneration(fake.conversation)).toBe(7)
  })

  test("is planned anew where somebody else changed the ruleset meanwhile", () => {
    let begun = 0
    const fake = kernel(({ type }) => (type === BEGIN && ++begun < 3 ? ERESTART : undefined), [7, 8, 9])
    let plans = 0
    transact(fake.conversation, () => {
      plans++
      return [flushChain(chain)]
    })
    expect([plans, begun]).toEqual([3, 3])
  })

  test("is given up where others never cease", () => {
    const fake = kernel(({ type }) => (type === BEGIN ? ERESTART : undefined))
    expect(() => transact(fake.conversation, () => [flushChain(chain)])).toThrow(
      "cannot change the nftables ruleset: ERESTART",
    )
  })
})

test("a listing that others keep interrupting is made anew", () => {
  let asked = 0
  const fake = new FakeKernel((message) => [done(message, { interrupted: message.type === GETRULE && ++asked < 7 })])
  expect(() => listRules(fake.conversation, chain)).toThrow("ERESTART")
  expect(retried(() => listRules(fake.conversation, chain))).toEqual([])
})

test("a kernel without nf_tables is said so, and has nothing to be removed", () => {
  const fake = kernel(({ type }) => (type === GETGEN ? EINVAL : undefined))
  expect(() => readGeneration(fake.conversation)).toThrow("cannot use nftables: EOPNOTSUPP")
  expect(() => transact(fake.conversation, () => [flushChain(chain)])).toThrow("cannot use nftables")
  expect(() => cleanUp(fake.conversation, () => [flushChain(chain)])).not.toThrow()
  const refusing = kernel(({ type }) => (type === GETGEN ? 1 : undefined))
  expect(() => cleanUp(refusing.conversation, () => [])).toThrow("EPERM")
})
