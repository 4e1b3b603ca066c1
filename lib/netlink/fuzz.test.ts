import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { fromHex, recordings, toHex } from "../testing/recorded.ts"
import { attributeSet, bytes, encode, repeated, WireError } from "./attribute.ts"
import { decodeMessages, encodeMessage, type Message, NLMSG_DONE, NLMSG_ERROR, refusalIn } from "./message.ts"
import { nfnetlink } from "./netfilter/protocol.ts"
import { decodeRule, ruleBody } from "./netfilter/rule.ts"
import { decodeChain } from "./netfilter/ruleset.ts"
import { attributeAt, printBody } from "./print.ts"
import { printMessage } from "./protocol.ts"
import { decodeAddress } from "./route/address.ts"
import { decodeLink } from "./route/link.ts"
import { linkBody } from "./route/link-attributes.ts"
import { decodePortVlans } from "./route/port-vlan.ts"
import { decodeRoute, routeBody } from "./route/route.ts"
import { rtnetlink } from "./route/rtnetlink.ts"
import { decodePolicyRule, policyRuleBody } from "./route/rule.ts"
import { decodeFilter, filterBody } from "./tc/filter.ts"
import { decodeQdisc } from "./tc/qdisc.ts"

/**
 * Anything may come from the socket: it is decoded, or it is a WireError. `CNITS_FUZZ_RUNS=1000000 npx vitest run lib/netlink/fuzz`
 * looks longer, from another seed each time; what it finds is kept in fixtures/fuzz.json, where every later run begins.
 */
const runs = Number(process.env["CNITS_FUZZ_RUNS"] ?? 0)
const timeout = Math.max(60_000, runs)
const BATCH = 5000

/** A few runs, always the same; many, always others, if asked for. Between batches vitest hears from us. */
async function search<Values>(property: fc.IProperty<Values>): Promise<void> {
  if (runs === 0) fc.assert(property, { numRuns: 1000, seed: 1 })
  for (let left = runs; left > 0; left -= BATCH) {
    fc.assert(property, { numRuns: Math.min(left, BATCH) })
    await new Promise(setImmediate)
  }
}

const corpus: readonly string[] = JSON.parse(readFileSync(new URL("fixtures/fuzz.json", import.meta.url), "utf8"))
const replies = [
  ...new Map(recordings.flatMap((recording) => recording.replies).map((bytes) => [toHex(bytes), bytes])).values(),
]

const NOTHING = new Uint8Array()

const decoders: readonly ((message: Message) => unknown)[] = [
  decodeLink,
  decodePortVlans,
  decodeAddress,
  decodeRoute,
  decodePolicyRule,
  decodeQdisc,
  decodeFilter,
  (message) => decodeChain(message, "inet"),
  (message) => decodeRule(message).expressions(),
  (message) => refusalIn({ ...message, type: NLMSG_ERROR }, "fuzz"),
  ...[rtnetlink, nfnetlink].map((protocol) => (message: Message) => printMessage(protocol, message, NOTHING)),
  ...[linkBody, routeBody, policyRuleBody, filterBody, ruleBody].flatMap((body) => [
    ({ payload }: Message) => printBody(body, payload),
    ({ payload }: Message) => attributeAt(body, payload, payload.length >> 1),
  ]),
  (message) => refusalIn({ ...message, type: NLMSG_DONE }, "fuzz"),
]

/** Calls every decoder with these bytes. Throws errors other than WireError. */
function outcome(datagram: Uint8Array): unknown {
  return attempt(() =>
    decodeMessages(datagram).map((message) => decoders.map((decode) => attempt(() => decode(message)))),
  )
}

function attempt(decode: () => unknown): unknown {
  try {
    return decode()
  } catch (error) {
    if (error instanceof WireError) return error.message
    throw error
  }
}

/** The same bytes in other surroundings: whoever reads beyond them cannot answer the same. */
function expectBounds(datagram: Uint8Array): void {
  const outcomes = [0x00, 0xff].map((surrounding) => {
    const buffer = new Uint8Array(datagram.length + 128).fill(surrounding)
    buffer.set(datagram, 64)
    return outcome(buffer.subarray(64, 64 + datagram.length))
  })
  expect(outcomes[1]).toEqual(outcomes[0])
}

/** Those that end in anything but a WireError, as hex. */
function surprises(datagrams: readonly Uint8Array[]): string[] {
  return datagrams.flatMap((datagram) => {
    try {
      outcome(datagram)
      return []
    } catch (error) {
      return [`${error}: ${toHex(datagram)}`]
    }
  })
}

/** Everywhere at first, where headers are, then at every fifth byte, which meets every offset within an attribute. */
function cuts(bytes: Uint8Array): Uint8Array[] {
  const lengths = Array.from(bytes, (_, length) => length).filter((length) => length < 100 || length % 5 === 0)
  return lengths.map((length) => bytes.subarray(0, length))
}

const anyReply = fc.constantFrom(...replies)
const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })

function damaged(reply: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const copy = reply.slice()
  for (const [at, value] of changes) copy[at % copy.length] = value
  return copy
}

/** One message of any kind, so that a decoder is reached whatever its header says. */
function wrapped(payload: Uint8Array): Uint8Array {
  return encodeMessage({ type: 16, flags: 0x200, sequence: 1 }, (writer) => writer.raw(payload))
}

describe("only WireError comes of", () => {
  test.each(corpus.map((hex) => [hex]))("what was found before: %s", (hex) => {
    expectBounds(fromHex(hex))
  })

  test("every recorded reply, cut anywhere", () => {
    expect(replies.flatMap((reply) => surprises(cuts(reply)))).toEqual([])
  })

  test("every recorded message, with its body cut anywhere but its header right", { timeout }, () => {
    const payloads = replies.flatMap(decodeMessages).map(({ payload }) => payload)
    const different = [...new Map(payloads.map((payload) => [toHex(payload), payload])).values()]
    expect(different.flatMap((payload) => surprises(cuts(payload).map(wrapped)))).toEqual([])
  })

  test("recorded replies with some bytes replaced", { timeout }, async () => {
    await search(fc.property(anyReply, damage, (reply, changes) => expectBounds(damaged(reply, changes))))
  })

  test("recorded replies with one bit flipped", { timeout }, async () => {
    await search(
      fc.property(anyReply, fc.nat(), fc.nat(7), (reply, at, bit) => {
        const index = at % reply.length
        expectBounds(damaged(reply, [[index, (reply[index] ?? 0) ^ (1 << bit)]]))
      }),
    )
  })

  test("random bytes, bare and behind a header that fits", { timeout }, async () => {
    await search(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        expectBounds(random)
        expectBounds(wrapped(random))
      }),
    )
  })
})

/** Every number a kernel of today uses, and some more. */
const everything = attributeSet(
  Object.fromEntries(
    Array.from({ length: 200 }, (_, type) => [`type${type}`, [type, repeated(bytes), `TYPE_${type}`] as const]),
  ),
)

describe("decoded, encoded and decoded again, nothing changes in", () => {
  test("recorded messages", () => {
    for (const message of replies.flatMap(decodeMessages)) {
      const again = decodeMessages(encodeMessage(message, (writer) => writer.raw(message.payload)))
      expect(again).toEqual([message])
    }
  })

  test("the attributes of recorded links, down to the order of equal ones", () => {
    for (const { payload } of replies.flatMap(decodeMessages).filter(({ type }) => type === 16)) {
      const values = everything.read(payload.subarray(16))
      expect(everything.read(encode(everything, values))).toEqual(values)
      expect(encode(everything, values).length).toBe(payload.length - 16)
    }
  })

  test("random attributes, where they can be decoded at all", { timeout }, () => {
    const attribute = fc.tuple(fc.nat(199), fc.uint8Array({ maxLength: 12 }))
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 8 }), fc.uint8Array({ maxLength: 7 }), (list, rest) => {
        const written = list.map(([type, payload]) => encode(everything, { [`type${type}`]: [payload] }))
        const decoded = attempt(() =>
          everything.read(Uint8Array.from([...written.flatMap((part) => [...part]), ...rest])),
        )
        if (typeof decoded === "string") return
        const values = decoded as ReturnType<typeof everything.read>
        expect(everything.read(encode(everything, values))).toEqual(values)
      }),
    )
  })
})
