import { attributeSet, type Body, be32, bytes, nested, repeated, text } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { Writer } from "../writer.ts"
import { data } from "./expression.ts"
import { HEADER, nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
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

/** NFTA_SET_ELEM_* */
const element = attributeSet({
  key: [1, nested(data), "NFTA_SET_ELEM_KEY"],
  data: [2, nested(data), "NFTA_SET_ELEM_DATA"],
  flags: [3, be32, "NFTA_SET_ELEM_FLAGS"],
  keyEnd: [10, nested(data), "NFTA_SET_ELEM_KEY_END"],
})
const NFT_SET_ELEM_INTERVAL_END = 1

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
 * The types of sets, as `nft` describes them: by its numbers for data types, six bits each if several are joined, and the key's length.
 * NFTNL_UDATA_SET_KEYBYTEORDER is the byte order in which `nft` reads the key: 0 if joined, 1 for the host's.
 */
const types = {
  "inet_proto . inet_service": { keyType: (12 << 6) | 13, keyLength: 8, byteOrder: 0 },
  ifname: { keyType: 41, keyLength: 16, byteOrder: 1 },
} as const

/** A named set of a table. */
export interface NamedSet {
  readonly table: Table
  readonly name: string
  /** The bytes that name it in messages about its elements, of a set that is the same in all calls: see placedSet(). */
  readonly place?: Uint8Array
  readonly type: keyof typeof types
}

/** Returns the set with its place, which is encoded but once, when the heap image is made. */
export function placedSet(set: NamedSet): NamedSet {
  const writer = new Writer()
  writePlace(writer, set)
  return { ...set, place: writer.bytes.slice() }
}

/** Begins a message about elements of the set. */
function writePlace(writer: Writer, { table, name, place }: NamedSet): void {
  if (place) writer.raw(place)
  else elementsOf.write(writeHeader(writer, table.family), { table: table.name, set: name })
}

/** Returns `set claims of table ip cni_hostport`, for messages. */
function formatSet({ table, name }: NamedSet): string {
  return `set ${name} of ${formatTable(table)}`
}

/** Returns the change that makes the set unless it exists, for transact(): EEXIST if it exists with another type. */
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

/** Returns the changes that add these elements, for transact(): EEXIST if the set has one of them. */
export function createElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  const message = MSG.NEWSETELEM
  return elementRequests(target, keys, {
    asked: `add to ${formatSet(target)}`,
    message,
    flags: NLM_F_CREATE | NLM_F_EXCL,
  })
}

/** Returns the changes that add these elements unless the set has them, for transact(). */
export function ensureElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  const message = MSG.NEWSETELEM
  return elementRequests(target, keys, { asked: `add to ${formatSet(target)}`, message, flags: NLM_F_CREATE })
}

/** Returns the changes that delete these elements, for transact(): ENOENT if the set lacks one of them. */
export function deleteElements(target: NamedSet, keys: Iterable<Uint8Array>): Iterable<Request> {
  return elementRequests(target, keys, { asked: `remove from ${formatSet(target)}`, message: MSG.DELSETELEM })
}

/** Yields the changes that delete those of these elements that the set has, for transact(). */
export function* removeElements(target: NamedSet, keys: Iterable<Uint8Array>): Generator<Request> {
  yield* ensureElements(target, keys)
  yield* deleteElements(target, keys)
}

/** Returns the change that deletes all elements, for transact(): ENOENT if there is no set. */
export function flushSet(target: NamedSet): Request {
  return elementRequest(target, undefined, { asked: `empty ${formatSet(target)}`, message: MSG.DELSETELEM })
}

/** Returns true if the set has the element; false if set or table is missing. */
export function hasElement(nfnetlink: Conversation, target: NamedSet, wanted: Uint8Array): boolean {
  const asked = `read ${formatSet(target)}`
  return nfnetlink.find(elementRequest(target, [wanted], { asked, message: MSG.GETSETELEM }), () => true) ?? false
}

/** An element of somebody's set or map. */
export interface FoundElement {
  readonly key: Uint8Array
  /** True if a range ends before it, and none begins there. */
  readonly ends: boolean
  /** True if it is a range by itself, of joined keys. */
  readonly joined: boolean
  /** The value of a verdict map. */
  readonly verdict: { readonly code?: number | undefined; readonly chain?: string | undefined } | undefined
}

/** Lists the elements of a set or map of any type. */
export function listElements(nfnetlink: Conversation, table: Table, name: string): FoundElement[] {
  const request: Request = {
    asked: `read set ${name} of ${formatTable(table)}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETSETELEM),
    write: (writer) => elementsOf.write(writeHeader(writer, table.family), { table: table.name, set: name }),
  }
  const { values } = nfnetlink.dump(request, ({ payload }) => elementsOf.read(payload, HEADER).elements)
  return values.flatMap(({ elements = [] }) =>
    elements.map(({ key, data: value, flags = 0, keyEnd }) => ({
      key: key?.value ?? new Uint8Array(),
      ends: (flags & NFT_SET_ELEM_INTERVAL_END) !== 0,
      joined: keyEnd !== undefined,
      verdict: value?.verdict,
    })),
  )
}

interface ElementRequest {
  readonly asked: string
  readonly message: number
  readonly flags?: number
}

/** Limits the elements in one message: the list's length has 16 bits, which is enough for 2,730 of the longest. */
const PER_MESSAGE = 1000

/** Yields requests, each for as many of the keys as fit into a message. */
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

/** Returns the request for these elements, or, if `keys` is undefined, for all of the set. */
function elementRequest(
  set: NamedSet,
  keys: readonly Uint8Array[] | undefined,
  { asked, message, flags = 0 }: ElementRequest,
): Request {
  return {
    asked,
    type: typeOf(SUBSYSTEM.NFTABLES, message),
    flags,
    write(writer) {
      writePlace(writer, set)
      if (keys) elementsOf.write(writer, { elements: { elements: keys.map((value) => ({ key: { value } })) } })
    },
  }
}
