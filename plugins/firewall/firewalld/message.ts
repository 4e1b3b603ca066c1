import { host } from "../../../lib/sys/host.ts"

/*
 * Messages of D-Bus (its specification, "Message Protocol"), as far as a client needs them that calls methods with texts and gets a text, a
 * boolean or nothing back.
 */

/** Message types and flags, and the codes of header fields. */
const METHOD_CALL = 1
const METHOD_RETURN = 2
const ERROR = 3
const NO_AUTO_START = 2
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const

const LITTLE_ENDIAN = 0x6c // "l"
const VERSION = 1
/** The part of fixed length, which ends with the length of the header fields. */
const FIXED = 16
/** Longer messages are not for us: the bus announces names, firewalld answers with one. */
const MAX_BYTES = 1 << 20

/** A call of a method, all of whose arguments are texts. */
export interface MethodCall {
  readonly destination: string
  readonly path: string
  readonly interface: string
  readonly member: string
  readonly arguments: readonly string[]
  /** Set if the bus may start the service for it. */
  readonly mayStart?: boolean
}

/** The answer to the call of that serial number. */
export interface Reply {
  readonly replySerial: number
  /** The name of an error; undefined if there is none. */
  readonly error: string | undefined
  /** The first value, if it is a text or a boolean. */
  readonly value: string | boolean | undefined
}

/** Something said over the bus that is no message of D-Bus. */
export class MalformedMessage extends Error {}

/** Returns the call as bytes; the answer will name the serial number. */
export function writeCall(call: MethodCall, serial: number): Uint8Array {
  const body = new Sink()
  for (const text of call.arguments) body.text(text)
  const message = new Sink()
  message.bytes.push(LITTLE_ENDIAN, METHOD_CALL, call.mayStart ? 0 : NO_AUTO_START, VERSION)
  message.number(body.bytes.length)
  message.number(serial)
  const fields = new Sink()
  fields.field(FIELD.path, "o", call.path)
  fields.field(FIELD.destination, "s", call.destination)
  fields.field(FIELD.interface, "s", call.interface)
  fields.field(FIELD.member, "s", call.member)
  if (call.arguments.length > 0) fields.field(FIELD.signature, "g", "s".repeat(call.arguments.length))
  message.number(fields.bytes.length)
  message.bytes.push(...fields.bytes)
  message.align(8)
  return Uint8Array.from([...message.bytes, ...body.bytes])
}

/** Values in the order of their bytes, each aligned as its type asks for. A header's fields begin at a multiple of 8, as its body does. */
class Sink {
  readonly bytes: number[] = []

  align(size: number): void {
    while (this.bytes.length % size !== 0) this.bytes.push(0)
  }

  number(value: number): void {
    this.align(4)
    this.bytes.push(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24)
  }

  text(text: string): void {
    const encoded = host.encode(text)
    this.number(encoded.length)
    this.bytes.push(...encoded, 0)
  }

  field(code: number, signature: "o" | "s" | "g", value: string): void {
    this.align(8)
    this.bytes.push(code, 1, signature.charCodeAt(0), 0)
    if (signature === "g") this.bytes.push(value.length, ...host.encode(value), 0)
    else this.text(value)
  }
}

/** Returns how many bytes the message has that begins with these; undefined if they are too few to say. Throws MalformedMessage. */
export function lengthOfMessage(bytes: Uint8Array): number | undefined {
  if (bytes.length < FIXED) return undefined
  const source = new Source(bytes)
  const length = FIXED + padded(source.numberAt(12)) + source.numberAt(4)
  if (length > MAX_BYTES) throw new MalformedMessage(`a message of ${length} bytes`)
  return length
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8
}

/** Reads a whole message; undefined if it is no answer. Throws MalformedMessage. */
export function readReply(bytes: Uint8Array): Reply | undefined {
  const source = new Source(bytes)
  const type = bytes[1]
  if (type !== METHOD_RETURN && type !== ERROR) return undefined
  const fields = source.fields(FIXED, FIXED + source.numberAt(12))
  const replySerial = fields.get(FIELD.replySerial)
  if (typeof replySerial !== "number") throw new MalformedMessage("an answer to nothing")
  const error = type === ERROR ? String(fields.get(FIELD.errorName)) : undefined
  const value = source.valueAt(FIXED + padded(source.numberAt(12)), String(fields.get(FIELD.signature) ?? ""))
  return { replySerial, error, value }
}

/** A message's bytes, in the order of bytes that its first names. */
class Source {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #isLittle: boolean

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#isLittle = bytes[0] === LITTLE_ENDIAN
    if (!this.#isLittle && bytes[0] !== 0x42) throw new MalformedMessage("no message")
  }

  numberAt(at: number): number {
    if (at + 4 > this.#bytes.length) throw new MalformedMessage("a message that ends too early")
    return this.#view.getUint32(at, this.#isLittle)
  }

  /** Reads the header fields between the two places. */
  fields(begin: number, end: number): Map<number, string | number> {
    const found = new Map<number, string | number>()
    for (let at = begin; at < end; at = padded(at)) {
      const code = this.#bytes[at] ?? 0
      const [value, next] = this.#variantAt(at + 1)
      found.set(code, value)
      at = next
    }
    return found
  }

  /** Returns the value that follows its signature, and the place behind it. */
  #variantAt(at: number): [string | number, number] {
    const signature = this.#shortTextAt(at)
    const begin = at + 2 + signature.length
    if (signature === "g") {
      const text = this.#shortTextAt(begin)
      return [text, begin + 2 + text.length]
    }
    const aligned = Math.ceil(begin / 4) * 4
    if (signature === "u") return [this.numberAt(aligned), aligned + 4]
    if (signature !== "s" && signature !== "o") throw new MalformedMessage(`a header field of type ${signature}`)
    return [this.#textAt(aligned), aligned + 5 + this.numberAt(aligned)]
  }

  /** Returns the value of a body of that signature, if its first is a text or a boolean. */
  valueAt(at: number, signature: string): string | boolean | undefined {
    if (signature.startsWith("s")) return this.#textAt(at)
    return signature.startsWith("b") ? this.numberAt(at) !== 0 : undefined
  }

  #textAt(at: number): string {
    return this.#decode(at + 4, this.numberAt(at))
  }

  #shortTextAt(at: number): string {
    return this.#decode(at + 1, this.#bytes[at] ?? 0)
  }

  #decode(begin: number, length: number): string {
    if (begin + length > this.#bytes.length) throw new MalformedMessage("a message that ends too early")
    return host.decode(this.#bytes.subarray(begin, begin + length))
  }
}
