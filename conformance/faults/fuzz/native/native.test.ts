import "../../../../lib/sys/node/register.ts"
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { makeExecutable } from "../../../../build/executable.ts"
import {
  address,
  attributeSet,
  be16,
  be32,
  be64,
  bytes,
  encode,
  nested,
  repeated,
  signedBe32,
  text,
  u8,
  u16,
  u32,
  u64,
  WireError,
} from "../../../../lib/netlink/attribute.ts"
import { nodeHost } from "../../../../lib/sys/node/host.ts"
import { Node } from "../../../lab/node.ts"
import { run } from "../../../lab/run.ts"
import { printed, type Reply, type Request, type Value } from "./program.ts"
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

test("printJson and member do as the host of Node.js does", { timeout }, async () => {
  const name = fc.stringMatching(/^[abAB\u212ak0é]{0,2}$/)
  const value = fc.oneof(units16, fc.integer(), fc.double(), fc.boolean(), fc.constant(null))
  const objects = fc.dictionary(name, fc.oneof(value, fc.array(value), fc.dictionary(units16, value)))
  await check(fc.tuple(objects, name), (batch) => {
    const replies = ask(
      batch.flatMap(([object, key]) => {
        const json = ascii(object)
        return [request("printJson", { json }), { name: "member", values: [{ json }, key] }]
      }),
    )
    const expected = batch.flatMap(([object, key]) => {
      const parsed = JSON.parse(ascii(object)) // -0 and NaN are no JSON
      return [{ text: units(nodeHost.printJson(parsed)) }, printed(nodeHost.member(parsed, key))]
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

const inner = attributeSet({ tiny: [1, u8, "TINY"], ports: [2, repeated(be16), "PORTS"] })
const all = attributeSet({
  small: [1, u8, "SMALL"],
  middle: [2, u16, "MIDDLE"],
  large: [9, u32, "LARGE"],
  huge: [4, u64, "HUGE"],
  register: [3, be32, "REGISTER"],
  code: [5, signedBe32, "CODE"],
  handle: [6, be64, "HANDLE"],
  name: [7, text, "NAME"],
  raw: [8, bytes, "RAW"],
  ip: [10, address, "IP"],
  inside: [11, nested(inner), "INSIDE"],
  several: [12, repeated(nested(inner)), "SEVERAL"],
})
const layout = sayable(all.layout)

const someInner = fc.record(
  { tiny: fc.nat(255), ports: fc.array(fc.nat(65535), { minLength: 1, maxLength: 3 }) },
  { requiredKeys: [] },
)
const someValues = fc.record(
  {
    small: fc.nat(255),
    middle: fc.nat(65535),
    large: fc.nat(2 ** 32 - 1),
    huge: fc.bigInt(0n, 2n ** 64n - 1n),
    register: fc.nat(2 ** 32 - 1),
    code: fc.integer(),
    handle: fc.bigInt(0n, 2n ** 64n - 1n),
    name: fc.stringMatching(/^[ -~]{0,20}$/),
    raw: fc.uint8Array({ maxLength: 9 }),
    ip: fc.oneof(
      fc.record({ family: fc.constant(4 as const), value: fc.bigInt(0n, 2n ** 32n - 1n) }),
      fc.record({ family: fc.constant(6 as const), value: fc.bigInt(0n, 2n ** 128n - 1n) }),
    ),
    inside: someInner,
    several: fc.array(someInner, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: [] },
)

test("writeAttributes writes what TypeScript writes, save addresses of IPv6 and what has no room", {
  timeout,
}, async () => {
  await check(fc.record({ values: someValues, size: fc.nat(300) }), (batch) => {
    const replies = ask(
      batch.map(({ values, size }) => ({
        name: "writeAttributes",
        values: [whole(Buffer.alloc(size)), 0, layout, sayable(values)],
      })),
    )
    const expected = batch.map(({ values, size }) => {
      const written = encode(all, values)
      return values.ip?.family === 6 || written.length > size ? -1 : { bytes: Buffer.from(written).toString("hex") }
    })
    expect(replies).toEqual(expected)
  })
})

test("readAttributes reads what TypeScript reads, and leaves to it what does not fit", { timeout }, async () => {
  const flipped = fc.record({ values: someValues, at: fc.nat(100), to: fc.nat(255), flips: fc.boolean() })
  await check(flipped, (batch) => {
    const payloads = batch.map(({ values, at, to, flips }) => {
      const payload = Buffer.from(encode(all, values))
      if (flips && at < payload.length) payload[at] = to
      return payload
    })
    const replies = ask(
      payloads.map((payload) => ({ name: "readAttributes", values: [whole(payload), 0, payload.length, layout] })),
    )
    expect(replies).toEqual(payloads.map((payload) => printed(readOrNothing(payload))))
  })
})

function readOrNothing(payload: Uint8Array): object | undefined {
  try {
    return all.read(payload)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

/** Returns values of attributes as requests say them. */
function sayable(value: unknown): Value {
  if (typeof value === "bigint") return { integer: value.toString() }
  if (value instanceof Uint8Array) return whole(Buffer.from(value))
  if (Array.isArray(value)) return value.map(sayable)
  if (typeof value !== "object" || value === null) return value as Value
  return { members: Object.fromEntries(Object.entries(value).map(([name, member]) => [name, sayable(member)])) }
}

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
