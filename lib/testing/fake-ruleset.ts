import { attributeSet, be32, be64, bytes, nested, repeated, signedBe32, text } from "../netlink/attribute.ts"
import type { Message } from "../netlink/message.ts"
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts"
import { expressionList, targetIn } from "../netlink/netfilter/expression.ts"
import { HEADER, SUBSYSTEM } from "../netlink/netfilter/nfnetlink.ts"
import { MSG } from "../netlink/netfilter/ruleset.ts"
import { DELSET } from "./delete-set.ts"
import { toHex } from "./recorded.ts"

/*
 * The ruleset of FakeNftables, and what each message of a transaction makes of it.
 */

const [EBUSY, EEXIST, EINVAL, EOPNOTSUPP] = [16, 17, 22, 95]
export const ENOENT = 2

const tableSet = attributeSet({ name: [1, text, "NFTA_TABLE_NAME"] })
const hookSet = attributeSet({
  number: [1, be32, "NFTA_HOOK_HOOKNUM"],
  priority: [2, signedBe32, "NFTA_HOOK_PRIORITY"],
})
export const chainSet = attributeSet({
  table: [1, text, "NFTA_CHAIN_TABLE"],
  handle: [2, be64, "NFTA_CHAIN_HANDLE"],
  name: [3, text, "NFTA_CHAIN_NAME"],
  hook: [4, nested(hookSet), "NFTA_CHAIN_HOOK"],
  policy: [5, be32, "NFTA_CHAIN_POLICY"],
  type: [7, text, "NFTA_CHAIN_TYPE"],
  userData: [12, bytes, "NFTA_CHAIN_USERDATA"],
})
export const ruleSet = attributeSet({
  table: [1, text, "NFTA_RULE_TABLE"],
  chain: [2, text, "NFTA_RULE_CHAIN"],
  handle: [3, be64, "NFTA_RULE_HANDLE"],
  expressions: [4, { ...bytes, nested: true }, "NFTA_RULE_EXPRESSIONS"],
  userData: [7, bytes, "NFTA_RULE_USERDATA"],
})
const setSet = attributeSet({
  table: [1, text, "NFTA_SET_TABLE"],
  name: [2, text, "NFTA_SET_NAME"],
  keyType: [4, be32, "NFTA_SET_KEY_TYPE"],
  keyLength: [5, be32, "NFTA_SET_KEY_LEN"],
})
const keySet = attributeSet({ value: [1, bytes, "NFTA_DATA_VALUE"] })
const elementSet = attributeSet({ key: [1, nested(keySet), "NFTA_SET_ELEM_KEY"] })
const listSet = attributeSet({ list: [1, repeated(nested(elementSet)), "NFTA_LIST_ELEM"] })
export const elementsSet = attributeSet({
  table: [1, text, "NFTA_SET_ELEM_LIST_TABLE"],
  set: [2, text, "NFTA_SET_ELEM_LIST_SET"],
  elements: [3, nested(listSet), "NFTA_SET_ELEM_LIST_ELEMENTS"],
})

interface Table {
  /** The last handle given: the table's chains, sets and rules share the numbers. */
  handle: bigint
  readonly chains: Map<string, Chain>
  readonly sets: Map<string, NamedSet>
}

export interface Chain {
  readonly handle: bigint
  readonly base: Base | undefined
  readonly userData: Uint8Array | undefined
  rules: Rule[]
}

interface Base {
  readonly type: string
  readonly number: number
  readonly priority: number
  readonly policy: number
}

export interface Rule {
  readonly handle: bigint
  readonly expressions: Uint8Array
  readonly userData: Uint8Array | undefined
  /** The chain that it leads to. */
  readonly target: string | undefined
}

interface NamedSet {
  readonly keyType: number
  readonly keyLength: number
  /** Keys, in hex. */
  readonly elements: Set<string>
}

/** By family and name. */
export type Tables = Map<string, Table>

/** The kernel refuses. */
export class Refused extends Error {
  readonly errno: number
  constructor(errno: number) {
    super(`refused with error ${errno}`)
    this.errno = errno
  }
}

/** Makes a change; returns if it was one. */
type Change = (tables: Tables, message: Message) => boolean

export function changeOf({ type }: Message): Change {
  const change = changes[type & 0xff]
  if (type >> 8 !== SUBSYSTEM.NFTABLES || !change) throw new Error(`the fake nf_tables knows no change of type ${type}`)
  return change
}

const changes: Readonly<Record<number, Change>> = {
  [MSG.NEWTABLE]: newTable,
  [MSG.NEWCHAIN]: newChain,
  [MSG.DELCHAIN]: deleteChain,
  [MSG.NEWRULE]: newRule,
  [MSG.DELRULE]: deleteRules,
  [MSG.NEWSET]: newSet,
  [DELSET]: deleteSet,
  [MSG.NEWSETELEM]: newElements,
  [MSG.DELSETELEM]: deleteElements,
}

function newTable(tables: Tables, message: Message): boolean {
  const { name = "" } = tableSet.read(message.payload, HEADER)
  const key = keyOf(message, name)
  refuseIf(tables.has(key) && message.flags & NLM_F_EXCL, EEXIST)
  if (tables.has(key)) return false
  tables.set(key, { handle: 0n, chains: new Map(), sets: new Map() })
  return true
}

function newChain(tables: Tables, message: Message): boolean {
  const values = chainSet.read(message.payload, HEADER)
  const { name = "", hook, policy, userData } = values
  const table = tableOf(tables, message, values.table)
  const before = table.chains.get(name)
  refuseIf(policy !== undefined && (before ? !before.base : !hook), EOPNOTSUPP)
  const { number = 0, priority = 0 } = hook ?? {}
  const base = hook && { type: values.type ?? "filter", number, priority, policy: policy ?? 1 }
  if (!before) {
    refuseIf(!(message.flags & NLM_F_CREATE), ENOENT)
    table.chains.set(name, { handle: ++table.handle, base, userData, rules: [] })
    return true
  }
  refuseIf(message.flags & NLM_F_EXCL, EEXIST)
  refuseIf(base && !sameHook(base, before.base), EOPNOTSUPP) // before Linux 6.4 EEXIST
  refuseIf(base && base.type !== before.base?.type, EEXIST)
  if (before.base && policy !== undefined) table.chains.set(name, { ...before, base: { ...before.base, policy } })
  return true
}

function sameHook(a: Base, b: Base | undefined): boolean {
  return a.number === b?.number && a.priority === b.priority
}

/** Deletes a chain and its own rules. */
function deleteChain(tables: Tables, message: Message): boolean {
  const { table: inTable, name = "" } = chainSet.read(message.payload, HEADER)
  const { chains } = tableOf(tables, message, inTable)
  const chain = chainOf(chains, name)
  chain.rules = []
  refuseIf(
    [...chains.values()].some(({ rules }) => rules.some(({ target }) => target === name)),
    EBUSY,
  )
  chains.delete(name)
  return true
}

function newRule(tables: Tables, message: Message): boolean {
  const values = ruleSet.read(message.payload, HEADER)
  if (values.handle !== undefined) throw new Error("the fake nf_tables replaces no rules")
  const table = tableOf(tables, message, values.table)
  const { rules } = chainOf(table.chains, values.chain)
  const { expressions = new Uint8Array(), userData } = values
  const target = targetIn(expressionList.read(expressions).steps ?? [])
  const handle = ++table.handle // spent before the steps are looked at
  if (target !== undefined) refuseIf(chainOf(table.chains, target).base, EOPNOTSUPP)
  rules.splice(message.flags & NLM_F_APPEND ? rules.length : 0, 0, { handle, expressions, userData, target })
  return true
}

/** Deletes the rule of that handle, or without a handle all of the chain. */
function deleteRules(tables: Tables, message: Message): boolean {
  const { table, chain: name, handle } = ruleSet.read(message.payload, HEADER)
  const chain = chainOf(tableOf(tables, message, table).chains, name)
  const staying = handle === undefined ? [] : chain.rules.filter((rule) => rule.handle !== handle)
  refuseIf(handle !== undefined && staying.length === chain.rules.length, ENOENT)
  const changed = staying.length < chain.rules.length
  chain.rules = staying
  return changed
}

function newSet(tables: Tables, message: Message): boolean {
  const { table: inTable, name = "", keyType = 0, keyLength = 0 } = setSet.read(message.payload, HEADER)
  const table = tableOf(tables, message, inTable)
  const before = table.sets.get(name)
  if (!before) {
    refuseIf(!(message.flags & NLM_F_CREATE), ENOENT)
    table.handle++
    table.sets.set(name, { keyType, keyLength, elements: new Set() })
    return true
  }
  const isSame = before.keyType === keyType && before.keyLength === keyLength
  refuseIf(message.flags & NLM_F_EXCL || !isSame, EEXIST)
  return true
}

function deleteSet(tables: Tables, message: Message): boolean {
  const { table, name = "" } = setSet.read(message.payload, HEADER)
  if (!tableOf(tables, message, table).sets.delete(name)) raise(ENOENT)
  return true
}

function newElements(tables: Tables, message: Message): boolean {
  const { elements, keys = [] } = elementsOf(tables, message)
  const before = elements.size
  for (const key of keys) {
    refuseIf(message.flags & NLM_F_EXCL && elements.has(key), EEXIST)
    elements.add(key)
  }
  return elements.size > before
}

/** Deletes the elements of these keys, or without keys all. */
function deleteElements(tables: Tables, message: Message): boolean {
  const { elements, keys } = elementsOf(tables, message)
  const before = elements.size
  if (!keys) elements.clear()
  for (const key of keys ?? []) refuseIf(!elements.delete(key), ENOENT)
  return elements.size < before
}

export function elementsOf(tables: Tables, message: Message): { elements: Set<string>; keys: string[] | undefined } {
  const { table, set: name = "", elements } = elementsSet.read(message.payload, HEADER)
  const set = tableOf(tables, message, table).sets.get(name) ?? raise(ENOENT)
  const keys = elements?.list?.map(({ key }) => toHex(key?.value ?? new Uint8Array()))
  const misfit = keys?.some((key) => key.length !== 2 * set.keyLength)
  refuseIf(misfit, EINVAL)
  return { elements: set.elements, keys }
}

export function tableOf(tables: Tables, message: Message, name = ""): Table {
  return tables.get(keyOf(message, name)) ?? raise(ENOENT)
}

export function chainOf(chains: ReadonlyMap<string, Chain>, name = ""): Chain {
  return chains.get(name) ?? raise(ENOENT)
}

export function keyOf({ payload: [family] }: Message, name: string): string {
  return `${family} ${name}`
}

export function refuseIf(refused: unknown, errno: number): void {
  if (refused) raise(errno)
}

function raise(errno: number): never {
  throw new Refused(errno)
}
