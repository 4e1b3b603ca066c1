import { attributeSet, type Body, be32, bytes, nested, repeated, text } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
import { formatTable, MSG, type Table } from "./ruleset.ts"

/** NFTA_SET_* */
const set = attributeSet({
  table: [1, text, "NFTA_SET_TABLE"],
  name: [2, text, "NFTA_SET_NAME"],
  flags: [3, be32, "NFTA_SET_FLAGS"],
  keyType: [4, be32, "NFTA_SET_KEY_TYPE"],
  keyLength: [5, be32, "NFTA_SET_KEY_LEN"],
  id: [10, be32, "NFTA_SET_ID"],
  userData: [13, bytes, "NFTA_SET_USERDATA"],
})

/** NFTA_DATA_* */
const key = attributeSet({ value: [1, bytes, "NFTA_DATA_VALUE"] })

/** NFTA_SET_ELEM_* */
const element = attributeSet({ key: [1, nested(key), "NFTA_SET_ELEM_KEY"] })

/** NFTA_LIST_ELEM */
const list = attributeSet({ elements: [1, repeated(nested(element)), "NFTA_LIST_ELEM"] })

/** NFTA_SET_ELEM_LIST_* */
const elementsOf = attributeSet({
  table: [1, text, "NFTA_SET_ELEM_LIST_TABLE"],
  set: [2, text, "NFTA_SET_ELEM_LIST_SET"],
  elements: [3, nested(list), "NFTA_SET_ELEM_LIST_ELEMENTS"],
})

/** An NFT_MSG_NEWSET and its like. */
export const setBody: Body = { header: nfnetlinkHeader, attributes: set }

/** An NFT_MSG_NEWSETELEM and its like. */
export const elementsBody: Body = { header: nfnetlinkHeader, attributes: elementsOf }

/**
 * Describes a set's elements as `nft` does: by its numbers for data types, six bits each if several are joined, and the key's
 * bytes. NFTNL_UDATA_SET_KEYBYTEORDER says how `nft` is to read the key: 0 joined, 1 as the machine has it.
 */
const types = {
  "inet_proto . inet_service": { keyType: (12 << 6) | 13, keyLength: 8, byteOrder: 0 },
  ifname: { keyType: 41, keyLength: 16, byteOrder: 1 },
} as const

/** A named set of a table. */
export interface NamedSet {
  readonly table: Table
  readonly name: string
  readonly type: keyof typeof types
}

/** `set claims of table ip cni_hostport` */
function formatSet({ table, name }: NamedSet): string {
  return `set ${name} of ${formatTable(table)}`
}

/** Change for transact(): the set exists; one that did keeps its elements. EEXIST if the name is another kind of set's. */
export function ensureSet(wanted: NamedSet): Request {
  const { table, name, type } = wanted
  const { byteOrder, ...ofKey } = types[type]
  const userData = Uint8Array.of(0, 4, byteOrder, 0, 0, 0)
  return {
    asked: `make ${formatSet(wanted)}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.NEWSET),
    flags: NLM_F_CREATE,
    write: (writer) =>
      set.write(writeHeader(writer, table.family), { table: table.name, name, flags: 0, ...ofKey, id: 1, userData }),
  }
}

/** Changes for transact(): the set has these elements too. EEXIST if it had one of them. */
export function createElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  const message = MSG.NEWSETELEM
  return elementRequests(target, keys, {
    asked: `add to ${formatSet(target)}`,
    message,
    flags: NLM_F_CREATE | NLM_F_EXCL,
  })
}

/** Changes for transact(): the set has these elements too. */
export function ensureElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  const message = MSG.NEWSETELEM
  return elementRequests(target, keys, { asked: `add to ${formatSet(target)}`, message, flags: NLM_F_CREATE })
}

/** Changes for transact(): the set has none of these elements. ENOENT if it had not one of them. */
export function deleteElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  return elementRequests(target, keys, { asked: `remove from ${formatSet(target)}`, message: MSG.DELSETELEM })
}

/** Changes for transact(): the set has none of these elements; it need not have had them. */
export function* removeElements(target: NamedSet, keys: Iterable<Uint8Array>): Generator<Request> {
  yield* ensureElements(target, keys)
  yield* deleteElements(target, keys)
}

/** Change for transact(): the set, which must exist, is empty. */
export function flushSet(target: NamedSet): Request {
  return elementRequest(target, undefined, { asked: `empty ${formatSet(target)}`, message: MSG.DELSETELEM })
}

/** Says whether the set has the element; false if set or table is missing. */
export function hasElement(nfnetlink: Conversation, target: NamedSet, wanted: Uint8Array): boolean {
  try {
    nfnetlink.get(elementRequest(target, [wanted], { asked: `read ${formatSet(target)}`, message: MSG.GETSETELEM }))
    return true
  } catch (error) {
    if (refusedWith(error, "ENOENT")) return false
    throw error
  }
}

interface ElementRequest {
  readonly asked: string
  readonly message: number
  readonly flags?: number
}

/** Elements in one message, of those that the list's length in 16 bits leaves room for: 2,730 of the longest. */
const PER_MESSAGE = 1000

/** One request for as many of the keys as a message has room for, then the next. */
function* elementRequests(set: NamedSet, keys: Iterable<Uint8Array>, request: ElementRequest): Generator<Request> {
  let some: Uint8Array[] = []
  for (const key of keys) {
    some.push(key)
    if (some.length < PER_MESSAGE) continue
    yield elementRequest(set, some, request)
    some = []
  }
  if (some.length > 0) yield elementRequest(set, some, request)
}

/** Undefined keys are all of the set's. */
function elementRequest(
  { table, name }: NamedSet,
  keys: readonly Uint8Array[] | undefined,
  { asked, message, flags = 0 }: ElementRequest,
): Request {
  return {
    asked,
    type: typeOf(SUBSYSTEM.NFTABLES, message),
    flags,
    write: (writer) =>
      elementsOf.write(writeHeader(writer, table.family), {
        table: table.name,
        set: name,
        elements: keys && { elements: keys.map((value) => ({ key: { value } })) },
      }),
  }
}
