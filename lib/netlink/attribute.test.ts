import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { addressFromBytes } from "../ip/address.ts"
import { fromHex, toHex } from "../testing/recorded.ts"
import {
  address,
  attributeSet,
  bytes,
  encode,
  type Kind,
  nested,
  repeated,
  text,
  u8,
  u16,
  u32,
  WireError,
} from "./attribute.ts"

const inner = attributeSet({ small: [1, u8, "INNER_SMALL"], list: [2, repeated(u16), "INNER_LIST"] })
const all = attributeSet({
  small: [1, u8, "ALL_SMALL"],
  middle: [2, u16, "ALL_MIDDLE"],
  large: [3, u32, "ALL_LARGE"],
  name: [4, text, "ALL_NAME"],
  raw: [5, bytes, "ALL_RAW"],
  ip: [6, address, "ALL_IP"],
  inside: [7, nested(inner), "ALL_INSIDE"],
  several: [8, repeated(bytes), "ALL_SEVERAL"],
  deepList: [9, repeated(nested(inner)), "ALL_DEEP_LIST"],
})

const someBytes = fc.uint8Array({ maxLength: 40 })
const someText = fc.string({ unit: "grapheme", maxLength: 20 }).filter((string) => !string.includes("\0"))
const someAddress = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((raw) => addressFromBytes(raw) ?? { family: 4 as const, value: 0n })
const someInner = fc.record(
  { small: fc.nat(0xff), list: fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 5 }) },
  { requiredKeys: [] },
)
const someValues = fc.record(
  {
    small: fc.nat(0xff),
    middle: fc.nat(0xffff),
    large: fc.nat(0xffffffff),
    name: someText,
    raw: someBytes,
    ip: someAddress,
    inside: someInner,
    several: fc.array(someBytes, { minLength: 1, maxLength: 5 }),
    deepList: fc.array(someInner, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: [] },
)

describe("a set of attributes", () => {
  test("reads back what it wrote, every kind in every combination", () => {
    fc.assert(fc.property(someValues, (values) => void expect(all.read(encode(all, values))).toEqual(values)))
  })

  test("writes length, number, payload and padding, a nested one marked as such", () => {
    expect(toHex(encode(all, { small: 5, name: "eth0", inside: { small: 1 } }))).toBe(
      "0500010005000000" + "090004006574683000000000" + "0c00078005000100" + "01000000",
    )
  })

  test("tells absent from zero and from empty", () => {
    const zeros = { small: 0, large: 0, name: "", raw: new Uint8Array(), inside: {} }
    expect(all.read(encode(all, zeros))).toEqual(zeros)
    expect(all.read(encode(all, { small: undefined }))).toEqual({})
    expect(all.read(new Uint8Array())).toEqual({})
  })

  test("skips what it does not know", () => {
    const unknown = "0800630001020304"
    expect(all.read(fromHex(`${unknown}0500010005000000${unknown}`))).toEqual({ small: 5 })
  })

  test("reads an attribute whatever its marks: nested (0x8000) and network order (0x4000) are no part of its number", () => {
    expect(all.read(fromHex("050001c005000000"))).toEqual({ small: 5 })
  })

  test("takes the last of an attribute that should come once", () => {
    expect(all.read(fromHex("05000100050000000500010006000000"))).toEqual({ small: 6 })
  })

  test("accepts the last attribute without its padding, and a remainder too short for another", () => {
    expect(all.read(fromHex("0500010005"))).toEqual({ small: 5 })
    expect(all.read(fromHex("0500010005000000ffffff"))).toEqual({ small: 5 })
  })

  test("takes thousands of repetitions", () => {
    const several = Array.from({ length: 4094 }, (_, index) => Uint8Array.of(index & 0xff, index >> 8))
    expect(all.read(encode(all, { several })).several).toEqual(several)
  })

  test("refuses to write an attribute that its 16-bit length cannot describe", () => {
    expect(encode(all, { raw: new Uint8Array(0xffff - 4) }).length).toBe(0x10000)
    expect(() => encode(all, { raw: new Uint8Array(0xffff - 3) })).toThrow(RangeError)
  })
})

describe("lengths that do not fit", () => {
  test.each([
    ["is shorter than its header", "0300010005000000", 0],
    ["is zero, which would never end", "0000010005000000", 0],
    ["reaches beyond the end", "0900010005000000", 0],
    ["reaches beyond the end, behind one that fits", "05000100050000000900010005000000", 8],
  ])("an attribute whose length %s is a WireError that says where", (_, hex, offset) => {
    const error = thrownBy(() => all.read(fromHex(hex)))
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ offset })
  })

  test("the offset counts from the start of the buffer, also for what is nested", () => {
    const buffer = fromHex(`eeeeeeee0c000700${"0900010000000000"}`)
    expect(thrownBy(() => all.read(buffer.subarray(4)))).toMatchObject({ offset: 8 })
  })

  test.each<[string, Pick<Kind<unknown>, "read">, string]>([
    ["u8", u8, ""],
    ["u16", u16, "01"],
    ["u32", u32, "010203"],
    ["address of 0 bytes", address, ""],
    ["address of 5 bytes", address, "0102030405"],
    ["address of 15 bytes", address, "00".repeat(15)],
  ])("a payload too short or odd for %s is a WireError", (_, kind, hex) => {
    expect(() => readBy(kind, hex)).toThrow(WireError)
  })

  test("a payload longer than its number is read from its start, as newer kernels may append", () => {
    expect([u8, u16, u32].map((kind) => readBy(kind, "0102030405"))).toEqual([1, 0x0201, 0x04030201])
  })
})

describe("an error names the attribute that could not be read", () => {
  test.each([
    ["too short for its kind", "0600030001020000", "ALL_LARGE: 2 bytes instead of 4 at byte 4"],
    ["within another", "0c000780" + "0500020005000000", "ALL_INSIDE > INNER_LIST: 1 bytes instead of 2 at byte 8"],
    ["of an odd length within another", "0c000780" + "0900020005000000", "ALL_INSIDE: attribute of length 9 at byte 4"],
    ["of an odd length in none", "0900020005000000", "attribute of length 9 at byte 0"],
    ["behind one that could be", "05000100050000000900020005000000", "attribute of length 9 at byte 8"],
  ])("%s", (_, hex, words) => {
    expect(() => all.read(fromHex(hex))).toThrow(`malformed netlink message: ${words}`)
  })
})

describe("kinds", () => {
  test("text ends at its first NUL, or at the end of its payload", () => {
    expect([readBy(text, "657400ff"), readBy(text, "6574")]).toEqual(["et", "et"])
  })

  test("text keeps a byte order mark and survives bytes that are no UTF-8", () => {
    expect(readBy(text, "efbbbf61")).toBe("\ufeffa")
    expect(readBy(text, "ff61")).toBe("\ufffda")
  })

  test("bytes that were read do not change with the buffer they came in", () => {
    const buffer = fromHex("0600050001020000")
    const { raw } = all.read(buffer)
    buffer.fill(0xff)
    expect(raw).toEqual(Uint8Array.of(1, 2))
  })
})

function thrownBy(attempt: () => unknown): unknown {
  try {
    attempt()
  } catch (error) {
    return error
  }
  return undefined
}

function readBy<Value>({ read }: Pick<Kind<Value>, "read">, hex: string): Value {
  const bytes = fromHex(hex)
  return read(bytes, 0, bytes.length)
}
