import { type Address, addressBytes, addressFromBytes, formatAddress } from "../ip/address.ts"
import { formatMac, type Mac } from "../ip/mac.ts"
import { ATTRIBUTE, ENCODING, host, type Layout } from "../sys/host.ts"
import { Writer } from "./writer.ts"

/** Reports malformed bytes from the kernel, at byte `offset` of the buffer that they came in. */
export class WireError extends Error {
  readonly #problem: string
  readonly #attributes: readonly string[]
  readonly offset: number

  /** `attributes` are those that the byte is in, by the kernel's names, the outermost first. */
  constructor(problem: string, offset: number, attributes: readonly string[] = []) {
    const place = attributes.length > 0 ? `${attributes.join(" > ")}: ` : ""
    super(`malformed netlink message: ${place}${problem} at byte ${offset}`)
    this.#problem = problem
    this.#attributes = attributes
    this.offset = offset
  }

  /** Returns the same error, within this attribute. */
  within(attribute: string): WireError {
    return new WireError(this.#problem, this.offset, [attribute, ...this.#attributes])
  }
}

const HEADER = 4 // struct nlattr: length, type
const NESTED = 0x8000
const TYPE_MASK = 0x3fff

/** Calls `visit` with number and payload bounds of each attribute in `bytes`; throws WireError at the first one that does not fit. */
export function eachAttribute(bytes: Uint8Array, visit: (type: number, start: number, end: number) => void): void {
  const end = bytes.length
  for (let at = 0; at + HEADER <= end; ) {
    const length = numberAt(bytes, at)
    if (length < HEADER || at + length > end) throw misfit(bytes, at, length)
    visit(numberAt(bytes, at + 2) & TYPE_MASK, at + HEADER, at + length)
    at += (length + 3) & ~3
  }
}

/**
 * Returns the payload of the first attribute of that number from byte `start` on, or undefined. It is the cheapest way to read one of many.
 * Throws WireError.
 */
export function findAttribute(bytes: Uint8Array, wanted: number, start = 0): Uint8Array | undefined {
  const end = bytes.length // read byte by byte, for speed: a dump of rules has tens of thousands of attributes
  for (let at = start; at + HEADER <= end; ) {
    const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    if (length < HEADER || at + length > end) throw misfit(bytes, at, length)
    const type = ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & TYPE_MASK
    if (type === wanted) return bytes.subarray(at + HEADER, at + length)
    at += (length + 3) & ~3
  }
  return undefined
}

function numberAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
}

/** Returns the 32-bit number at byte `at`, which has to be there. */
export function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
  return (low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0
}

function misfit(bytes: Uint8Array, at: number, length: number): WireError {
  return new WireError(`attribute of length ${length}`, bytes.byteOffset + at)
}

/** Writes, reads and prints the payload of one attribute. */
export interface Kind<Value> {
  readonly write: (writer: Writer, value: Value) => void
  /** Reads the bytes from `start` up to `end`. Throws WireError. */
  readonly read: (bytes: Uint8Array, start: number, end: number) => Value
  /** As the host calls it, which then writes and reads it, faster. */
  readonly encoding?: number
  readonly layout?: Layout | undefined
  readonly nested?: true
  /** The attribute may come any number of times; its value is the list. */
  readonly repeated?: true
  /** Returns the value as `ip`, `nft` or `tc` prints it; absent: numbers and texts as they are, bytes in hex. */
  readonly print?: (value: Value) => unknown
  /** Returns the body of a payload that consists of attributes; it may depend on the attributes before. */
  readonly inside?: (before: Printed) => Body | undefined
}

/** A kind of any value. */
export interface AnyKind {
  readonly write: (writer: Writer, value: never) => void
  readonly read: (bytes: Uint8Array, start: number, end: number) => unknown
  readonly encoding?: number
  readonly layout?: Layout | undefined
  readonly nested?: true
  readonly repeated?: true
  readonly print?: (value: never) => unknown
  readonly inside?: (before: Printed) => Body | undefined
}

/** Attributes by the kernel's names, as they are printed: see print.ts. */
export type Printed = Readonly<Record<string, unknown>>

/** A payload: one of the kernel's structs, if there is one, then attributes. */
export interface Body {
  readonly header?: Header
  readonly attributes: Entries
}

/** A struct that attributes follow. */
export interface Header {
  readonly size: number
  readonly print: (view: DataView) => object
}

/** A set of attributes as a table to look numbers up in. */
export interface Entries {
  readonly entryOf: (type: number) => Entry | undefined
}

interface Entry {
  readonly name: string
  readonly kind: AnyKind
  /** Its row, for the kernel's name: to read all names in each process would cost copies of the pages they are on. */
  readonly row: Row
}

/** The kernel's name is that of its header files: IFLA_MTU. */
type Row = readonly [type: number, kind: AnyKind, kernelName: string]

type Table = Readonly<Record<string, Row>>

type ValueOf<K> = K extends Kind<infer Value> ? Value : never

/** The values of an attribute set; absent ones are left out, which is not the same as zero. */
export type Values<T extends Table> = {
  readonly [Name in keyof T]?: T[Name][1] extends { repeated: true }
    ? readonly ValueOf<T[Name][1]>[] | undefined
    : ValueOf<T[Name][1]> | undefined
}

export interface AttributeSet<T extends Table> extends Entries {
  /** Undefined if the host does not know all kinds in it. */
  readonly layout: Layout | undefined
  /** Appends the attributes in the order of the table. */
  readonly write: (writer: Writer, values: Values<T>) => void
  /** Reads the attributes in the table, from `start` (0) up to `end` (the last byte), and skips others. Throws WireError. */
  readonly read: (bytes: Uint8Array, start?: number, end?: number) => Values<T>
}

/** Returns the codec of a set of attributes, from a table of names, the kernel's numbers, kinds and the kernel's names. */
export function attributeSet<const T extends Table>(table: T): AttributeSet<T> {
  const names = Object.keys(table)
  const byType = indexByType(table)
  const layout = layoutOf(table)
  return {
    layout,
    entryOf: (type) => byType[type],
    write(writer, values) {
      if (layout && writer.attributes(layout, values)) return
      for (const name of names) {
        const value: unknown = values[name as keyof T]
        if (value === undefined) continue
        const row = table[name] as Row
        if (row[1].repeated) for (const item of value as unknown[]) writeAttribute(writer, row, item)
        else writeAttribute(writer, row, value)
      }
    },
    read(bytes, start = 0, end = bytes.length) {
      const values = layout && host.readAttributes(bytes, start, end, layout)
      return (values ?? readEach(byType, bytes.subarray(start, end))) as Values<T>
    },
  }
}

/** Returns the set as the host knows it, which has to know each kind in it. */
function layoutOf(table: Table): Layout | undefined {
  const bytes: number[] = []
  const inner: (Layout | undefined)[] = []
  for (const name in table) {
    const [type, { encoding, layout, repeated, nested }] = table[name] as Row
    if (encoding === undefined || (encoding === ENCODING.NESTED && !layout)) return undefined
    bytes.push(type, encoding | (nested ? ATTRIBUTE.MARKED : 0) | (repeated ? ATTRIBUTE.REPEATED : 0))
    inner.push(layout)
  }
  return [Uint8Array.from(bytes), Object.keys(table), inner]
}

function readEach(byType: readonly (Entry | undefined)[], bytes: Uint8Array): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  eachAttribute(bytes, (type, start, end) => {
    const entry = type < byType.length ? byType[type] : undefined
    if (!entry) return
    const value = readEntry(entry, bytes, start, end)
    if (entry.kind.repeated) append(values, entry.name, value)
    else values[entry.name] = value
  })
  return values
}

function readEntry({ kind, row }: Entry, bytes: Uint8Array, start: number, end: number): unknown {
  try {
    return kind.read(bytes, start, end)
  } catch (error) {
    throw error instanceof WireError ? error.within(row[2]) : error
  }
}

function append(values: Record<string, unknown>, name: string, value: unknown): void {
  const list = values[name]
  if (Array.isArray(list)) list.push(value)
  else values[name] = [value]
}

/** Returns the entries by number, without holes, which would make each look-up slow. */
function indexByType(table: Table): readonly (Entry | undefined)[] {
  const entries: (Entry | undefined)[] = []
  for (const name in table) {
    const row = table[name]
    if (!row) continue
    while (entries.length <= row[0]) entries.push(undefined)
    entries[row[0]] = { name, kind: row[1], row }
  }
  return entries
}

function writeAttribute(writer: Writer, row: Row, value: unknown): void {
  const type = row[0]
  const kind = row[1]
  const at = writer.begin(HEADER)
  kind.write(writer, value as never)
  writer.end(at, kind.nested ? type | NESTED : type)
}

/** Returns a view of the bytes, for reading numbers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Returns the payload as a view of at least `size` bytes; the kernel may append, never shorten. Throws WireError. */
export function sized(payload: Uint8Array, size: number): DataView {
  if (payload.length < size) throw new WireError(`${payload.length} bytes instead of ${size}`, payload.byteOffset)
  return viewOf(payload)
}

function tooShort(bytes: Uint8Array, start: number, end: number, size: number): WireError {
  return new WireError(`${end - start} bytes instead of ${size}`, bytes.byteOffset + start)
}

export const u8: Kind<number> = {
  encoding: ENCODING.U8,
  write: (writer, value) => void writer.u8(value),
  read(bytes, start, end) {
    if (end - start < 1) throw tooShort(bytes, start, end, 1)
    return bytes[start] as number
  },
}

export const u16: Kind<number> = {
  encoding: ENCODING.U16,
  write: (writer, value) => void writer.u16(value),
  read(bytes, start, end) {
    if (end - start < 2) throw tooShort(bytes, start, end, 2)
    return (bytes[start] as number) | ((bytes[start + 1] as number) << 8)
  },
}

export const u32: Kind<number> = {
  encoding: ENCODING.U32,
  write: (writer, value) => void writer.u32(value),
  read(bytes, start, end) {
    if (end - start < 4) throw tooShort(bytes, start, end, 4)
    return wordAt(bytes, start)
  },
}

export const u64: Kind<bigint> = {
  encoding: ENCODING.U64,
  write: (writer, value) => void writer.u64(value),
  read: (bytes, start, end) => sized(bytes.subarray(start, end), 8).getBigUint64(0, true),
}

/** `be` is big-endian, the order in which netfilter's numbers travel. */
export const be16: Kind<number> = {
  encoding: ENCODING.BE16,
  write: (writer, value) => void writer.be16(value),
  read(bytes, start, end) {
    if (end - start < 2) throw tooShort(bytes, start, end, 2)
    return ((bytes[start] as number) << 8) | (bytes[start + 1] as number)
  },
}

export const be32: Kind<number> = {
  encoding: ENCODING.BE32,
  write: (writer, value) => void writer.be32(value),
  read: (bytes, start, end) => signedBe32.read(bytes, start, end) >>> 0,
}

export const signedBe32: Kind<number> = {
  encoding: ENCODING.SIGNED_BE32,
  write: (writer, value) => void writer.be32(value),
  read(bytes, start, end) {
    const high = be16.read(bytes, start, end)
    return (high << 16) | be16.read(bytes, start + 2, end)
  },
}

export const be64: Kind<bigint> = {
  encoding: ENCODING.BE64,
  write: (writer, value) => void writer.be64(value),
  read: (bytes, start, end) => sized(bytes.subarray(start, end), 8).getBigUint64(0),
}

/** Reads and writes text that ends at its first NUL. */
export const text: Kind<string> = {
  encoding: ENCODING.TEXT,
  write: (writer, value) => void writer.raw(host.encode(value)).u8(0),
  read(bytes, start, end) {
    const nul = bytes.indexOf(0, start)
    return host.decode(bytes.subarray(start, nul < 0 || nul > end ? end : nul))
  },
}

/** Bytes as they are; reading returns a copy that outlives the message. */
export const bytes: Kind<Uint8Array> = {
  encoding: ENCODING.BYTES,
  write: (writer, value) => void writer.raw(value),
  read: (bytes, start, end) => bytes.slice(start, end),
}

export const address: Kind<Address> = {
  encoding: ENCODING.ADDRESS,
  write(writer, value) {
    if (value.family === 4) writer.be32(Number(value.value))
    else writer.raw(addressBytes(value))
  },
  read(bytes, start, end) {
    const value = addressFromBytes(bytes, start, end)
    if (!value) throw new WireError(`address of ${end - start} bytes`, bytes.byteOffset + start)
    return value
  },
  print: formatAddress,
}

/** A hardware address. */
export const mac: Kind<Mac> = { ...bytes, print: formatMac }

/** Returns the kind of an attribute that consists of attributes. */
export function nested<T extends Table>(set: AttributeSet<T>): Kind<Values<T>> & { nested: true } {
  const { write, read, layout } = set
  return { write, read, layout, encoding: ENCODING.NESTED, nested: true, inside: () => ({ attributes: set }) }
}

/**
 * Returns the kind of an attribute that consists of attributes of the set that the value of `by` chooses: IFLA_INFO_DATA by IFLA_INFO_KIND.
 */
export function chosen(by: string, sets: Readonly<Record<string, Entries>>): Kind<Uint8Array> {
  return {
    ...bytes,
    inside(before) {
      const attributes = sets[String(before[by])]
      return attributes && { attributes }
    },
  }
}

/** Returns the kind with another `print`. */
export function printed<Value>(kind: Kind<Value>, print: (value: Value) => unknown): Kind<Value> {
  return { ...kind, print }
}

/** Returns the kind of an attribute that may come several times. */
export function repeated<Value>(kind: Kind<Value>): Kind<Value> & { repeated: true } {
  return { ...kind, repeated: true }
}

/** Returns the attributes of `values` alone, as the payload of another attribute. */
export function encode<T extends Table>(set: AttributeSet<T>, values: Values<T>): Uint8Array {
  const writer = new Writer()
  set.write(writer, values)
  return writer.bytes
}
