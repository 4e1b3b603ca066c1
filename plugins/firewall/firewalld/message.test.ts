import { describe, expect, test } from "vitest"
import { lengthOfMessage, MalformedMessage, readReply, writeCall } from "./message.ts"

const hello = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "Hello",
  arguments: [],
}

/** Joins texts and numbers to bytes; `|8` fills up to a multiple of 8. */
function bytes(...parts: readonly (string | number)[]): Uint8Array {
  const all: number[] = []
  for (const part of parts) {
    if (typeof part === "number") all.push(part)
    else if (part === "|8") while (all.length % 8 !== 0) all.push(0)
    else all.push(...new TextEncoder().encode(part))
  }
  return Uint8Array.from(all)
}

/** Reads a call as Python's dbus would, by the specification's table of header fields. */
function texts(message: Uint8Array): string[] {
  const text = new TextDecoder("latin1").decode(message)
  return text.match(/[\w./:-]{3,}/g) ?? []
}

test("a call has the fixed part of the specification, its fields, and its texts behind a multiple of 8", () => {
  const call = writeCall({ ...hello, member: "addSource", arguments: ["trusted", "10.1.0.2/32"] }, 7)
  expect([...call.subarray(0, 4)]).toEqual([0x6c, 1, 2, 1]) // little-endian, a call, starts nobody, version 1
  const view = new DataView(call.buffer)
  const [bodyLength, serial, fieldsLength] = [4, 8, 12].map((at) => view.getUint32(at, true))
  expect([bodyLength, serial]).toEqual([12 + 4 + 12, 7])
  expect(call.length).toBe(16 + Math.ceil((fieldsLength ?? 0) / 8) * 8 + 28)
  expect(lengthOfMessage(call)).toBe(call.length)
  expect(texts(call)).toEqual([
    "/org/freedesktop/DBus",
    "org.freedesktop.DBus",
    "org.freedesktop.DBus",
    "addSource",
    "trusted",
    "10.1.0.2/32",
  ])
  expect([...call.subarray(-28)]).toEqual([...bytes(7, 0, 0, 0, "trusted", 0, 11, 0, 0, 0, "10.1.0.2/32", 0)])
})

test("a call may have the bus start the service, and need not have arguments", () => {
  expect(writeCall({ ...hello, mayStart: true }, 1)[2]).toBe(0)
  expect(lengthOfMessage(writeCall(hello, 1))).toBe(writeCall(hello, 1).length)
})

const LITTLE = bytes(
  ..."l".split(""),
  2,
  1,
  1,
  8,
  0,
  0,
  0,
  9,
  0,
  0,
  0,
  15,
  0,
  0,
  0,
  5,
  1,
  "u",
  0,
  7,
  0,
  0,
  0,
  8,
  1,
  "g",
  0,
  1,
  "s",
  0,
  "|8",
  3,
  0,
  0,
  0,
  "abc",
  0,
)
const BIG = bytes(
  ..."B".split(""),
  2,
  1,
  1,
  0,
  0,
  0,
  4,
  0,
  0,
  0,
  9,
  0,
  0,
  0,
  15,
  8,
  1,
  "g",
  0,
  1,
  "b",
  0,
  "|8",
  5,
  1,
  "u",
  0,
  0,
  0,
  0,
  7,
  "|8",
  0,
  0,
  0,
  1,
)

describe("an answer is read", () => {
  test("in either order of bytes, with a text, a boolean or an error", () => {
    expect(readReply(LITTLE)).toEqual({ replySerial: 7, error: undefined, value: "abc" })
    expect(readReply(BIG)).toEqual({ replySerial: 7, error: undefined, value: true })
    const error = bytes(
      "l",
      3,
      1,
      1,
      8,
      0,
      0,
      0,
      9,
      0,
      0,
      0,
      27,
      0,
      0,
      0,
      4,
      1,
      "s",
      0,
      3,
      0,
      0,
      0,
      "E.F",
      0,
      "|8",
      5,
      1,
      "u",
      0,
      7,
      0,
      0,
      0,
      8,
      1,
      "g",
      0,
      1,
      "s",
      0,
      "|8",
      3,
      0,
      0,
      0,
      "why",
      0,
    )
    expect(readReply(error)).toEqual({ replySerial: 7, error: "E.F", value: "why" })
  })

  test("not a signal, nor what is not whole yet", () => {
    expect(readReply(Uint8Array.from(LITTLE, (byte, at) => (at === 1 ? 4 : byte)))).toBeUndefined()
    expect(lengthOfMessage(LITTLE.subarray(0, 15))).toBeUndefined()
  })

  test.each<[string, Uint8Array]>([
    ["no message", bytes("HTTP/1.1 400 Bad Request")],
    ["an endless one", bytes("l", 2, 1, 1, 255, 255, 255, 255, 9, 0, 0, 0, 8, 0, 0, 0)],
    ["one whose text ends behind it", Uint8Array.from(LITTLE, (byte, at) => (at === LITTLE.length - 8 ? 200 : byte))],
    ["one with a field of another type", Uint8Array.from(LITTLE, (byte, at) => (at === 18 ? 0x76 : byte))],
    ["an answer to nothing", Uint8Array.from(LITTLE, (byte, at) => (at === 16 ? 9 : byte))],
  ])("not %s", (_, message) => {
    expect(() => lengthOfMessage(message) && readReply(message)).toThrow(MalformedMessage)
  })
})
