import { describe, expect, test } from "vitest"
import { type Address, addressBytes, parseAddress } from "../../ip/address.ts"
import { type Prefix, parsePrefix } from "../../ip/prefix.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { recorded, toHex } from "../../testing/recorded.ts"
import type { Request } from "../conversation.ts"
import { decodeMessages, encodeMessage } from "../message.ts"
import { decodeSteps, encodeStep, isAmong, isMadeOf, isWritten, type Step, targetIn } from "./expression.ts"
import * as phrase from "./phrase.ts"
import { appendRule, decodeRule, flushChain } from "./rule.ts"
import { type Chain, decodeChain, ensureChain, ensureTable, type Table } from "./ruleset.ts"

const NLM_F_REQUEST = 1

/** The message between a batch's begin and end. */
function sent(command: string): Uint8Array {
  const { request } = recorded(command)
  const [, message] = decodeMessages(request)
  if (!message) throw new Error(`no batch: ${command}`)
  return encodeMessage({ ...message, sequence: 0 }, (writer) => writer.raw(message.payload))
}

function ours({ type, flags = 0, write }: Request): Uint8Array {
  return encodeMessage({ type, flags: flags | NLM_F_REQUEST, sequence: 0 }, write)
}

const prefix = (text: string) => parsePrefix(text) as Prefix
const bytesOf = (text: string) => addressBytes(parseAddress(text) as Address)

const table: Table = { family: "inet", name: "cni_plugins_masquerade", comment: "Masquerading for plugins" }
const checks: Chain = { table, name: "masq_checks", comment: "Masquerade traffic" }
const postrouting: Chain = {
  table,
  name: "postrouting",
  base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
}
const base = { table: { family: "inet", name: "test" }, name: "base" } as const
const guard: Chain = {
  table: { family: "bridge", name: "nat" },
  name: "PREROUTING",
  base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
}

/** By the command, the chain and what the rule says in phrases. */
const RULES: readonly [command: string, chain: Pick<Chain, "table" | "name">, steps: Step[], comment?: string][] = [
  [
    `nft add rule inet cni_plugins_masquerade masq_checks ip saddr 10.244.1.2 ip daddr != 10.244.1.0/24 masquerade comment '"one"'`,
    checks,
    [
      ...phrase.ofFamily(4),
      ...phrase.source(prefix("10.244.1.2/32")),
      ...phrase.destination(prefix("10.244.1.0/24"), { not: true }),
      phrase.masquerade,
    ],
    "one",
  ],
  [
    `nft add rule inet cni_plugins_masquerade masq_checks ip6 saddr fd00::2 ip6 daddr != fd00::/61 masquerade comment '"two"'`,
    checks,
    [
      ...phrase.ofFamily(6),
      ...phrase.source(prefix("fd00::2/128")),
      ...phrase.destination(prefix("fd00::/61"), { not: true }),
      phrase.masquerade,
    ],
    "two",
  ],
  [
    "nft add rule inet cni_plugins_masquerade postrouting goto masq_checks",
    postrouting,
    [phrase.transfer("goto", "masq_checks")],
  ],
  [
    "nft add rule inet test base tcp dport 8080 fib daddr type local dnat ip to 10.244.1.2:80",
    base,
    [
      ...phrase.ofProtocol(6),
      ...phrase.destinationPort(8080),
      ...phrase.toThisHost(),
      ...phrase.dnat(bytesOf("10.244.1.2"), 80),
    ],
  ],
  [
    "nft add rule inet test base meta l4proto 17 ip6 daddr fd00::1 dnat ip6 to [fd00::2]:53",
    base,
    [
      ...phrase.ofProtocol(17),
      ...phrase.ofFamily(6),
      ...phrase.destination(prefix("fd00::1/128")),
      ...phrase.dnat(bytesOf("fd00::2"), 53),
    ],
  ],
  [
    "nft add rule inet test base iifname eth0 jump other",
    base,
    [...phrase.fromInterface("eth0"), phrase.transfer("jump", "other")],
  ],
  [
    "nft add rule inet test base meta mark and 0x2000 == 0x2000 accept",
    base,
    [...phrase.withMark(0x2000, 0x2000), phrase.verdict("accept")],
  ],
  [
    "nft add rule bridge nat PREROUTING ether saddr 02:00:00:00:00:02 drop",
    guard,
    [...phrase.etherSource(Uint8Array.of(2, 0, 0, 0, 0, 2)), phrase.verdict("drop")],
  ],
]

const ruleShape: Shape = { header: 4, nested: { 4: { nested: { 1: "step" } } } }
const chainShape: Shape = { header: 4, nested: { 4: { nested: {} } } }

describe("requests say what nft says", () => {
  const alike = RULES.filter(([command]) => !/dnat|mark/.test(command)) // those are said in other words that mean the same

  test.each(alike)("%s", (command, chain, expressions, comment) => {
    expect(requestTree(ours(appendRule(chain, { expressions, comment })), ruleShape)).toEqual(
      requestTree(sent(command), ruleShape),
    )
  })

  test("tables", () => {
    const command = `nft add table inet cni_plugins_masquerade '{ comment "Masquerading for plugins" ; }'`
    expect(requestTree(ours(ensureTable(table)), chainShape)).toEqual(requestTree(sent(command), chainShape))
  })

  test.each<[string, Chain]>([
    [`nft add chain inet cni_plugins_masquerade masq_checks '{ comment "Masquerade traffic" ; }'`, checks],
    [
      "nft add chain inet cni_plugins_masquerade postrouting '{ type nat hook postrouting priority srcnat ; policy accept ; }'",
      postrouting,
    ],
    ["nft add chain bridge nat PREROUTING '{ type filter hook prerouting priority -300 ; policy accept ; }'", guard],
  ])("%s", (command, chain) => {
    expect(requestTree(ours(ensureChain(chain)), chainShape)).toEqual(requestTree(sent(command), chainShape))
  })

  test("emptying a chain", () => {
    const command = "nft flush chain inet cni_plugins_masquerade postrouting"
    expect(requestTree(ours(flushChain(postrouting)), ruleShape)).toEqual(requestTree(sent(command), ruleShape))
  })
})

describe("what the kernel made of nft's rules", () => {
  const replies = recorded("nft -j list ruleset").replies.flatMap(decodeMessages)
  // nft lists everything twice.
  const messages = [...new Map(replies.map((message) => [toHex(message.payload), message])).values()]
  const found = messages.filter(({ type }) => type === 0xa06).map(decodeRule)

  test.each(RULES)("is what ours would be: %s", (_, __, expressions, comment) => {
    const same = found.filter((rule) => isMadeOf(rule, expressions))
    expect(same.map((rule) => rule.comment)).toEqual([comment])
    expect(isAmong(found, expressions)).toBe(true)
  })

  // These two `nft` says in other words.
  test.each(RULES.filter(([command]) => !/dnat/.test(command)))("byte for byte: %s", (_, __, expressions, comment) => {
    const same = found.filter((rule) => isWritten(rule, expressions))
    expect(same.map((rule) => rule.comment)).toEqual([comment])
  })

  const limit = encodeStep({ name: "limit", data: undefined } as never)
  const listed = (...steps: Step[]) => ({ steps: Buffer.concat(steps) })

  test("a step more or less is another rule", () => {
    const steps = phrase.ofProtocol(6)
    expect(isMadeOf(listed(...steps), steps)).toBe(true)
    for (const rule of [listed(...steps, limit), listed(...steps.slice(1)), listed()]) {
      expect(isMadeOf(rule, steps)).toBe(false)
      expect(isMadeOf(listed(...steps), [...steps, limit])).toBe(false)
    }
  })

  test.each([
    ["masks bits", phrase.withMark(1, 1)[1] as Step, "operation"],
    ["gives a destination", phrase.dnat(bytesOf("10.244.1.2"), 80)[2] as Step, "flags"],
  ])("a step that %s is the same without what earlier kernels do not list, and no other", (_, step, later) => {
    const [{ name, data } = { name: "", data: {} }] = decodeSteps(step)
    const as = (values: object) => listed(encodeStep({ name, data: values } as never))
    const { [later as never]: omitted, ...earlier } = data ?? {}
    expect(omitted).toBeDefined()
    expect(isMadeOf(as(earlier), [step])).toBe(true)
    expect(isMadeOf(as({ ...earlier, [later]: 9 }), [step])).toBe(false)
  })

  test("chains are read back as they were asked for", () => {
    const chains = messages.filter(({ type }) => type === 0xa03).map((message) => decodeChain(message, "inet"))
    const { comment, ...named } = checks
    expect(chains).toContainEqual(
      expect.objectContaining({ ...named, table: { family: "inet", name: table.name }, comment, base: undefined }),
    )
    expect(chains).toContainEqual(
      expect.objectContaining({ ...postrouting, table: { family: "inet", name: table.name } }),
    )
  })

  test("a chain's note is read back, and is no comment", () => {
    const noted = { table: guard.table, name: "noted", note: "one" }
    const [message] = decodeMessages(ours(ensureChain(noted)))
    expect(message && decodeChain(message, "bridge")).toMatchObject({ ...noted, base: undefined })
  })

  test("the chain a rule leads to and the interface it is for are found", () => {
    const [jump] = found.filter((rule) => targetIn(rule.expressions()) === "other")
    expect(phrase.interfaceIn(jump?.expressions() ?? [])).toBe("eth0")
    expect(found.filter((rule) => phrase.interfaceIn(rule.expressions()) !== undefined)).toEqual([jump])
    expect(
      found
        .map((rule) => targetIn(rule.expressions()))
        .filter(Boolean)
        .sort(),
    ).toEqual(["masq_checks", "other"])
  })
})
