import fc from "fast-check"
import { expect, test } from "vitest"
import { Writer } from "./writer.ts"

test("numbers are written little-endian, one after the other", () => {
  const writer = new Writer().u8(0x01).u8(0xff).u16(0x1234).u32(0x89abcdef)
  expect([...writer.bytes]).toEqual([0x01, 0xff, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89])
  expect(writer.length).toBe(8)
})

test("align writes zeros up to a multiple of four and nothing at one", () => {
  for (const [bytes, aligned] of [
    [0, 0],
    [1, 4],
    [2, 4],
    [3, 4],
    [4, 4],
    [5, 8],
  ] as const) {
    const writer = new Writer().raw(new Uint8Array(bytes).fill(0xff)).align()
    expect([...writer.bytes]).toEqual([...new Uint8Array(bytes).fill(0xff), ...new Uint8Array(aligned - bytes)])
  }
})

test("a message has its header in front, wherever it begins", () => {
  const writer = new Writer().u32(0xffffffff)
  const at = writer.begin(16)
  writer.u32(7).endMessage(at, 0x03050012, 9)
  const header = [20, 0, 0, 0, 0x12, 0, 5, 3, 9, 0, 0, 0, 0, 0, 0, 0]
  expect([...writer.bytes]).toEqual([0xff, 0xff, 0xff, 0xff, ...header, 7, 0, 0, 0])
})

test("an attribute has its header in front and zeros behind it", () => {
  const writer = new Writer()
  const at = writer.begin(4)
  writer.u8(7).end(at, 0x8001)
  expect([...writer.bytes]).toEqual([5, 0, 1, 0x80, 7, 0, 0, 0])
})

test("an attribute of more than 16 bits' length is refused", () => {
  const writer = new Writer()
  const at = writer.begin(4)
  expect(() => writer.raw(new Uint8Array(0xfffc)).end(at, 3)).toThrow("attribute 3 of 65536 bytes")
})

test("the buffer grows without losing what was written, whatever the sizes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 1500 }), { maxLength: 12 }), (parts) => {
      const writer = new Writer()
      for (const part of parts) writer.raw(part)
      expect([...writer.bytes]).toEqual(parts.flatMap((part) => [...part]))
    }),
  )
})

test("a number that meets the end of the buffer makes it grow", () => {
  for (const odd of [0, 1, 2, 3]) {
    const writer = new Writer().raw(new Uint8Array(odd))
    for (let count = 0; count < 1000; count++) writer.u8(1).u16(0x0302).u32(0x07060504)
    expect(writer.length).toBe(odd + 7000)
    expect([...writer.bytes.subarray(-7)]).toEqual([1, 2, 3, 4, 5, 6, 7])
  }
})

test("a header reaches the bytes that count after the buffer has grown", () => {
  const writer = new Writer()
  const at = writer.begin(16)
  writer.raw(new Uint8Array(5000)).endMessage(at, 0, 7)
  expect(writer.bytes[8]).toBe(7)
})
