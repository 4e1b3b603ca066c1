import { describe, expect, test } from "vitest"
import { TimedOut } from "../../../lib/sys/timed-out.ts"
import { streamServer } from "../../../lib/testing/stream-server.ts"
import { Bus, NotLetIn } from "./bus.ts"
import { MalformedMessage } from "./message.ts"

const line = (text: string) => new TextEncoder().encode(`${text}\r\n`)

/** Returns the answer to the call of that number: the text. */
function answer(serial: number, text: string): Uint8Array {
  const fields = [5, 1, 0x75, 0, serial, 0, 0, 0, 8, 1, 0x67, 0, 1, 0x73, 0, 0]
  const body = [text.length, 0, 0, 0, ...new TextEncoder().encode(text), 0]
  return Uint8Array.from([0x6c, 2, 1, 1, body.length, 0, 0, 0, 9, 0, 0, 0, 15, 0, 0, 0, ...fields, ...body])
}

const signal = Uint8Array.from(answer(0, ":1.7"), (byte, at) => (at === 1 ? 4 : byte))
const LET_IN = [line("DATA"), line("OK 1234deadbeef"), answer(1, ":1.7")]
const call = { destination: "a.b", path: "/a/b", interface: "a.b", member: "c", arguments: [] }

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
}

describe("a call is answered", () => {
  const chunks = [...LET_IN, signal, answer(9, "another's"), answer(2, "yes")]

  test("message by message", async () => {
    using bus = new Bus(await streamServer(chunks))
    expect(bus.call(call)).toEqual({ replySerial: 2, error: undefined, value: "yes" })
  })

  test("all at once", async () => {
    using bus = new Bus(await streamServer([joined(chunks)]))
    expect(bus.call(call).value).toBe("yes")
  })

  test("byte by byte", async () => {
    using bus = new Bus(await streamServer(Array.from(joined(chunks), (byte) => Uint8Array.of(byte))))
    expect(bus.call(call).value).toBe("yes")
  })
})

describe("the bus", () => {
  test.each<[string, Uint8Array[], new (...values: never[]) => Error, string]>([
    ["that rejects", [line("REJECTED EXTERNAL")], NotLetIn, '"REJECTED EXTERNAL"'],
    ["that has another protocol", [line("SSH-2.0-OpenSSH")], NotLetIn, '"SSH-2.0-OpenSSH"'],
    ["that ends", [], MalformedMessage, "has closed the connection"],
    ["that ends within the answer", [...LET_IN, answer(2, "yes").subarray(0, 20)], MalformedMessage, "has closed"],
    ["that says no lines", [new Uint8Array(8192)], MalformedMessage, "a line without end"],
    ["that says no messages", [...LET_IN, new Uint8Array(64)], MalformedMessage, "no message"],
  ])("%s says so", async (_, chunks, kind, words) => {
    const path = await streamServer(chunks, { closes: true })
    const ask = () => {
      using bus = new Bus(path)
      bus.call(call)
    }
    expect(ask).toThrow(kind)
    expect(ask).toThrow(words)
  })

  test("that does not answer is waited for so long and no longer", async () => {
    const path = await streamServer(LET_IN.slice(0, 2))
    expect(() => new Bus(path, 0.1)).toThrow(TimedOut)
  })
})
