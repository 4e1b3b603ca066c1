/** Runs in place of the plugins, and calls the host's functions as it is told on stdin. */

import { readAll, writeNew } from "../../../../lib/sys/file.ts"
import { type Host, host } from "../../../../lib/sys/host.ts"

/** A value as JSON can say it, in ASCII. */
export type Value =
  | null
  | boolean
  | number
  | string
  | readonly Value[]
  /** The hex of a buffer, and the part of it that is meant. */
  | { readonly bytes: string; readonly from: number; readonly to: number }
  | { readonly integer: string }
  | { readonly members: { readonly [name: string]: Value } }
  /** The value that this JSON text parses as. */
  | { readonly json: string }
  | { readonly odd: "undefined" | "NaN" | "symbol" | "throws" | "function" | "detached" | "shrunk" }

export interface Request {
  readonly name: keyof Host
  readonly values: readonly Value[]
}

/** A text is its UTF-16 units in hex. */
export type Reply =
  | null
  | boolean
  | number
  | readonly Reply[]
  | { readonly text: string }
  | { readonly integer: string }
  | { readonly members: { readonly [name: string]: Reply } }
  | { readonly bytes: string }
  | { readonly error: string }

export const outOfMemoryAnswer = "no memory\n"

/** The replies go to a file, since stdout is one of the descriptors that are written to at random. */
export function main(): void {
  const requests: Request[] = JSON.parse(host.decode(readAll(0, "stdin")))
  writeNew("replies", JSON.stringify(requests.map(perform)), { synced: false })
  host.exit(0)
}

function perform({ name, values }: Request): Reply {
  const call = host[name] as (...values: unknown[]) => unknown
  try {
    const given = values.map(meant)
    const reply = call(...given)
    if (name === "writeAttributes")
      return printed(writtenTo(given[0] as Uint8Array, given[1] as number, reply as number))
    if ((name === "netlink" || name === "socket") && typeof reply === "number" && reply >= 0) doNotWait(reply)
    return printed(reply)
  } catch (error) {
    return { error: String(error) }
  }
}

/** Returns what was written to the buffer, or the answer that nothing was. */
function writtenTo(buffer: Uint8Array, start: number, end: number): Uint8Array | number {
  return end < 0 ? end : buffer.slice(start, end)
}

/** SO_RCVTIMEO: two 64-bit numbers, seconds and microseconds. */
function doNotWait(socket: number): void {
  const time = new Uint8Array(16)
  time[8] = 1
  host.setOption(socket, 1, 20, time)
}

function meant(value: Value): unknown {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(meant)
  if ("bytes" in value) return bytesOf(value.bytes).subarray(value.from, value.to)
  if ("integer" in value) return BigInt(value.integer)
  if ("members" in value) return mapped(value.members, meant)
  if ("json" in value) return JSON.parse(value.json)
  return "odd" in value ? odd(value.odd) : undefined
}

function mapped<From, To>(members: Readonly<Record<string, From>>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, change(value)]))
}

function odd(kind: string): unknown {
  if (kind === "NaN") return Number.NaN
  if (kind === "symbol") return Symbol("x")
  if (kind === "function") return odd
  if (kind === "throws") return { toString: refuse, valueOf: refuse, length: 3 }
  const buffer = new ArrayBuffer(64, { maxByteLength: 128 })
  const bytes = new Uint8Array(buffer)
  if (kind === "detached") buffer.transfer(8)
  if (kind === "shrunk") buffer.resize(16)
  return kind === "undefined" ? undefined : bytes
}

function refuse(): never {
  throw new TypeError("no")
}

/** Returns the reply as JSON can say it. */
export function printed(reply: unknown): Reply {
  if (typeof reply === "number" || typeof reply === "boolean") return reply
  if (typeof reply === "string")
    return { text: Array.from({ length: reply.length }, (_, at) => unit(reply, at)).join("") }
  if (typeof reply === "bigint") return { integer: reply.toString() }
  if (Array.isArray(reply)) return reply.map(printed)
  if (reply instanceof Uint8Array) return { bytes: Array.from(reply, hex).join("") }
  return typeof reply === "object" && reply !== null
    ? { members: mapped(reply as Record<string, unknown>, printed) }
    : null
}

function unit(text: string, at: number): string {
  return text.charCodeAt(at).toString(16).padStart(4, "0")
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0")
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16))
}
