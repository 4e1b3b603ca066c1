import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatMac, localMac, parseMac } from "./mac.ts"

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 })

describe("parseMac", () => {
  it("reads what formatMac writes", () => {
    fc.assert(
      fc.property(mac, (bytes) => {
        expect(parseMac(formatMac(bytes))).toEqual(bytes)
      }),
    )
  })

  it.each(["c2:b0:57:49:47:f1", "C2:B0:57:49:47:F1", "c2-b0-57-49-47-f1", "c2b0.5749.47f1", "C2B0.5749.47F1"])(
    "reads %s",
    (text) => {
      expect(parseMac(text)).toEqual(Uint8Array.of(0xc2, 0xb0, 0x57, 0x49, 0x47, 0xf1))
    },
  )

  it.each([
    "",
    "c2:b0:57:49:47",
    "c2:b0:57:49:47:f1:",
    "c2:b0:57:49:47:f1:00",
    "c2:b0-57:49-47:f1",
    "c2:b0:57:49:47:g1",
    "c2:b0:57:49:47:f",
    "c2 b0 57 49 47 f1",
    " c2:b0:57:49:47:f1",
    "c2:b0:57:49:47:f1\n",
    "c2b05749.47f1",
    "c2b0:5749:47f1",
    "0:1:2:3:4:5",
  ])("refuses %j", (text) => {
    expect(parseMac(text)).toBeUndefined()
  })

  it("refuses EUI-64 and InfiniBand addresses, which no Ethernet interface can take", () => {
    expect(parseMac("02:00:5e:10:00:00:00:01")).toBeUndefined()
    expect(parseMac(Array.from({ length: 20 }, () => "00").join(":"))).toBeUndefined()
  })
})

describe("formatMac", () => {
  it("writes lower-case pairs with colons", () => {
    expect(formatMac(Uint8Array.of(0, 1, 0xa, 0xbc, 0xde, 0xff))).toBe("00:01:0a:bc:de:ff")
  })
})

describe("localMac", () => {
  it("is unicast and locally administered, and keeps the other 46 random bits", () => {
    fc.assert(
      fc.property(mac, (random) => {
        const [first = 0, ...rest] = localMac(random)
        expect(first & 0b11).toBe(0b10)
        expect(first >> 2).toBe((random[0] ?? 0) >> 2)
        expect(rest).toEqual([...random.slice(1)])
      }),
    )
  })

  it("leaves its argument alone", () => {
    const random = new Uint8Array(6).fill(0xff)
    localMac(random)
    expect(random).toEqual(new Uint8Array(6).fill(0xff))
  })
})
