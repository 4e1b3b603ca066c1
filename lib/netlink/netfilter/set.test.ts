import { describe, expect, test } from "vitest"
import { acknowledge, FakeKernel } from "../../testing/fake-kernel.ts"
import { fromHex, toHex } from "../../testing/recorded.ts"
import type { Request } from "../conversation.ts"
import { Writer } from "../writer.ts"
import { createElements, ensureSet, flushSet, hasElement, type NamedSet, removeElements } from "./set.ts"

const claims: NamedSet = { table: { family: "ip", name: "t" }, name: "claims", type: "inet_proto . inet_service" }
const containers: NamedSet = { table: { family: "ip", name: "t" }, name: "attachments", type: "ifname" }
const TCP_8080 = Uint8Array.of(6, 0, 0, 0, 0x1f, 0x90, 0, 0)

function body({ write }: Request): string {
  const writer = new Writer()
  write(writer)
  return toHex(writer.bytes)
}

const hex = (text: string) => toHex(fromHex(text.replaceAll(" ", "")))
const TABLE = "06000100 74000000"
const CLAIMS = "0b000200 636c6169 6d730000"

describe("what nft 1.0.6 sends", () => {
  test("for `set claims { type inet_proto . inet_service; }`, its own notes on the type apart", () => {
    expect(body(ensureSet(claims))).toBe(
      hex(
        `02000000 ${TABLE} ${CLAIMS} 08000300 00000000 08000400 0000030d 08000500 00000008 08000a00 00000001 0a000d00 00040000 00000000`,
      ),
    )
  })

  test("for `set attachments { type ifname; }`", () => {
    expect(body(ensureSet(containers))).toBe(
      hex(
        `02000000 ${TABLE} 10000200 61747461 63686d65 6e747300 08000300 00000000 08000400 00000029 08000500 00000010 08000a00 00000001 0a000d00 00040100 00000000`,
      ),
    )
  })

  test("for `add element ip t claims { tcp . 8080 }`", () => {
    expect([...createElements(claims, [TCP_8080])].map(body)).toEqual([
      hex(`02000000 ${TABLE} ${CLAIMS} 18000380 14000180 10000180 0c000100 06000000 1f900000`),
    ])
  })
})

test("an element that may be missing is added before it is deleted, for to delete it otherwise fails", () => {
  expect([...removeElements(claims, [TCP_8080])].map(({ type }) => type & 0xff)).toEqual([12, 14])
  expect([...removeElements(claims, [])]).toEqual([])
})

test("as many elements as there are ports, twice over, are added and removed by lists that each fit a message", () => {
  const keys = Array.from({ length: 2 * 65536 }, (_, n) => Uint8Array.of(6 + (n >> 16), 0, 0, 0, n >> 8, n, 0, 0))
  const added = [...createElements(claims, keys)].map(body)
  for (const text of added) expect(text.length / 2).toBeLessThan(65536)
  expect(added.join("").split("0c000100").length - 1).toBe(keys.length)
  expect([...removeElements(claims, keys)].map(body)).toHaveLength(2 * added.length)
})

test("a set is emptied by deleting no element in particular", () => {
  expect(body(flushSet(claims))).toBe(hex(`02000000 ${TABLE} ${CLAIMS}`))
})

test.each([
  [0, true],
  [2, false],
])("error %i means that the element is there: %s", (errno, expected) => {
  using kernel = new FakeKernel((request) => {
    const datagram = acknowledge(request).slice()
    new DataView(datagram.buffer).setInt32(16, -errno, true)
    const element = acknowledge({ ...request, type: 0 }).slice()
    element.set([12, 10], 4)
    return errno === 0 ? [element, datagram] : [datagram]
  })
  expect(hasElement(kernel.conversation, claims, TCP_8080)).toBe(expected)
})
