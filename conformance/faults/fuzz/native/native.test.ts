import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { makeExecutable } from "../../../../build/executable.ts"
import { nodeHost } from "../../../../lib/sys/node/host.ts"
import { Node } from "../../../lab/node.ts"
import { run } from "../../../lab/run.ts"
import type { Reply, Request, Value } from "./program.ts"
import { calls } from "./requests.ts"

/** As in fuzz.test.ts: a budget, and as long as anybody wants by hand. */
const SECONDS = Number(process.env["CNITS_FUZZ_SECONDS"] ?? 6)
const timeout = SECONDS * 2000 + 120_000

const node = new Node()
const program = join(node.dir, "program")
const scratch = join(node.dir, "scratch")

beforeAll(async () => {
  await makeExecutable("sanitized", program, { program: "conformance/faults/fuzz/native/program.ts" })
})
afterAll(() => node[Symbol.dispose]())

/** The host's replies, in a process of its own, which the sanitizers end with 99 if they find anything. */
function ask(requests: readonly Request[]): Reply[] {
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch)
  writeFileSync(join(node.dir, "requests"), ascii(requests))
  // Files, since whatever is read from a socket or a pipe may wait for ever.
  const script = 'cd "$0" && prlimit --fsize=1000000 --nofile=64 ../program <../requests >/dev/null 2>../said'
  const { exitCode } = run(node.inside(["sh", "-c", script, scratch]))
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${readFileSync(join(node.dir, "said"), "utf8")}`)
  return JSON.parse(readFileSync(join(scratch, "replies"), "utf8"))
}

/** JSON in which half surrogate pairs survive. */
function ascii(value: unknown): string {
  return JSON.stringify(value).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

/** Checks batches of random inputs until a third of the time is over. */
async function check<Input>(inputs: fc.Arbitrary<Input>, agrees: (batch: Input[]) => void): Promise<void> {
  const end = performance.now() + (SECONDS * 1000) / 3
  let tried = 0
  while (performance.now() < end) {
    const property = fc.property(fc.array(inputs, { minLength: 200, maxLength: 400, size: "max" }), (batch) => {
      agrees(batch)
      tried += batch.length
    })
    fc.assert(property, { numRuns: 2, endOnFailure: true })
    await new Promise(setImmediate) // lets the test runner hear from us
  }
  console.log(`${tried} inputs, none surprising`)
  expect(tried).toBeGreaterThan(0)
}

test("the sanitizers are there", () => {
  const { stderr } = run(["env", "-C", node.dir, "ASAN_OPTIONS=help=1", program], { stdin: "[]" })
  expect(stderr).toContain("Available flags for AddressSanitizer")
})

/** Bytes that are UTF-8, or nearly. */
const nearlyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 20 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom(
          "ed9fbf",
          "eda080",
          "edbfbf",
          "f0908080",
          "f08f8080",
          "f48fbfbf",
          "f4908080",
          "c080",
          "e08080",
          "efbbbf",
          "00",
        )
        .map((hex) => Buffer.from(hex, "hex")),
      fc
        .tuple(fc.string({ unit: "binary", minLength: 1, maxLength: 3 }), fc.nat(3))
        .map(([text, cut]) => Buffer.from(text).subarray(0, -cut || undefined)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts))

test("decode reads what TextDecoder reads, wherever in a buffer it stands", { timeout }, async () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  const parts = fc.tuple(nearlyText, fc.nat(20), fc.nat(20))
  await check(parts, (batch) => {
    const cut = batch.map(([bytes, from, less]) => ({ bytes, from, to: Math.max(from, bytes.length - less) }))
    const replies = ask(cut.map(({ bytes, from, to }) => request("decode", { bytes: bytes.toString("hex"), from, to })))
    expect(replies).toEqual(
      cut.map(({ bytes, from, to }) => ({ text: units(decoder.decode(bytes.subarray(from, to))) })),
    )
  })
})

/** Any sequence of UTF-16 units, half surrogate pairs among them. */
const units16 = fc
  .array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff }), fc.nat(0x7f), fc.nat(0xff)), {
    maxLength: 300,
  })
  .map((codes) => String.fromCharCode(...codes))

test("hasBytes finds what the host of Node.js finds", { timeout }, async () => {
  const few = fc.uint8Array({ max: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes))
  const whole = (bytes: Buffer): Value => ({ bytes: bytes.toString("hex"), from: 0, to: bytes.length })
  await check(fc.tuple(few, fc.integer({ min: -1, max: 5 }), few), (batch) => {
    const replies = ask(
      batch.map(([bytes, at, part]) => ({ name: "hasBytes", values: [whole(bytes), at, whole(part)] })),
    )
    expect(replies).toEqual(batch.map(([bytes, at, part]) => nodeHost.hasBytes(bytes, at, part)))
  })
})

test("encode and sha512 take a text as TextEncoder does", { timeout }, async () => {
  const encoder = new TextEncoder()
  await check(units16, (batch) => {
    const replies = ask(batch.flatMap((text) => [request("encode", text), request("sha512", text)]))
    const expected = batch.flatMap((text) => {
      const bytes = encoder.encode(text)
      return [
        { bytes: Buffer.from(bytes).toString("hex") },
        { text: units(createHash("sha512").update(bytes).digest("hex")) },
      ]
    })
    expect(replies).toEqual(expected)
  })
})

/** A message of netfilter or the end of a dump, whole or nearly. */
const nearlyMessage = fc
  .tuple(
    fc.constantFrom(0x0a06, 0x0a06, 3),
    fc.constantFrom(2, 2, 0x12),
    fc.array(
      fc.tuple(fc.constantFrom(1, 7, 0x8007), fc.uint8Array({ max: 2, maxLength: 9 }), fc.constantFrom(0, 0, 1, -9)),
      {
        maxLength: 4,
      },
    ),
    fc.constantFrom(0, 0, 0, 1, -1, -30, 4000),
  )
  .map(([type, flags, attributes, error]) => {
    const parts = attributes.map(([number, payload, off]) => {
      const attribute = Buffer.alloc(4 + ((payload.length + 3) & ~3))
      attribute.writeUInt16LE(Math.max(0, 4 + payload.length + off))
      attribute.writeUInt16LE(number, 2)
      attribute.set(payload, 4)
      return attribute
    })
    const message = Buffer.concat([Buffer.alloc(20), ...parts])
    message.writeUInt32LE(Math.max(0, message.length + error))
    message.writeUInt16LE(type, 4)
    message.writeUInt16LE(flags, 6)
    return message
  })

function whole(bytes: Buffer): Value {
  return { bytes: bytes.toString("hex"), from: 0, to: bytes.length }
}

test("nextMessage finds what the host of Node.js finds", { timeout }, async () => {
  const inputs = fc.record({
    datagram: fc.array(nearlyMessage, { maxLength: 5 }).map((messages) => Buffer.concat(messages)),
    at: fc.constantFrom(0, 0, 4, 24, -1, 1000),
    text: fc.uint8Array({ max: 2, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    width: fc.integer({ min: 1, max: 4 }),
    attribute: fc.constantFrom(0, 7),
    mark: fc.nat(2),
  })
  await check(inputs, (batch) => {
    const replies = ask(
      batch.map(({ datagram, at, text, width, attribute, mark }) => ({
        name: "nextMessage",
        values: [whole(datagram), at, whole(text), width, attribute, mark],
      })),
    )
    expect(replies).toEqual(
      batch.map(({ datagram, at, text, width, attribute, mark }) =>
        nodeHost.nextMessage(datagram, at, text, width, attribute, mark),
      ),
    )
  })
})

test("findAttributes finds what the host of Node.js finds", { timeout }, async () => {
  const inputs = fc.record({
    bytes: nearlyMessage,
    start: fc.constantFrom(0, 20, 20, 20, 24, -1, 1000),
    end: fc.nat(80),
    wanted: fc.uint8Array({ max: 1, maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
  })
  await check(inputs, (batch) => {
    const calls = batch.map(({ bytes, start, end, wanted }) => ({
      name: "findAttributes" as const,
      values: [whole(bytes), start, end, whole(wanted)],
    }))
    expect(ask(calls)).toEqual(
      batch.map(({ bytes, start, end, wanted }) => nodeHost.findAttributes(bytes, start, end, wanted)),
    )
  })
})

test("whatever is asked of them, no function touches memory that is not its own", { timeout }, async () => {
  await check(calls, (batch) => {
    expect(ask(batch)).toHaveLength(batch.length)
  })
})

function request(name: Request["name"], value: Value): Request {
  return { name, values: [value] }
}

function units(text: string): string {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, "0")).join("")
}
