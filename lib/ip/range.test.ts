import { describe, expect, test } from "vitest"
import { parseAddress } from "./address.ts"
import { type AddressRange, formatRange, inRange, rangesOverlap } from "./range.ts"

function range(text: string): AddressRange {
  const [first, last] = text.split("-").map(parseAddress)
  if (!first || !last) throw new Error(`not a range: ${text}`)
  return { first, last }
}

function holds(text: string, address: string): boolean {
  const parsed = parseAddress(address)
  return parsed !== undefined && inRange(range(text), parsed)
}

describe("inRange", () => {
  test.each([
    ["192.0.2.10-192.0.2.20", "192.0.2.10", true],
    ["192.0.2.10-192.0.2.20", "192.0.2.20", true],
    ["192.0.2.10-192.0.2.20", "192.0.2.9", false],
    ["192.0.2.10-192.0.2.20", "192.0.2.21", false],
    ["2001:db8::10-2001:db8::20", "2001:db8::10", true],
    ["2001:db8::10-2001:db8::20", "2001:db8::20", true],
    ["2001:db8::10-2001:db8::20", "2001:db8::f", false],
    ["2001:db8::10-2001:db8::20", "2001:db8::21", false],
    ["0.0.0.0-255.255.255.255", "::1", false],
    ["::-ffff::", "10.0.0.1", false],
  ])("%s and %s: %s", (text, address, expected) => {
    expect(holds(text, address)).toBe(expected)
  })
})

describe("rangesOverlap is the same both ways", () => {
  test.each([
    ["disjoint", "10.0.0.1-10.0.0.9", "10.0.1.1-10.0.1.9", false],
    ["touching", "10.0.0.1-10.0.0.9", "10.0.0.10-10.0.0.20", false],
    ["sharing one address", "10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.20", true],
    ["identical", "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9", true],
    ["one inside the other", "10.0.0.1-10.0.0.9", "10.0.0.3-10.0.0.4", true],
    ["equal bits in the other family", "0.0.0.1-0.0.0.9", "::1-::9", false],
    ["disjoint IPv6", "fd00::1-fd00::f", "fd00:1::1-fd00:1::f", false],
    ["overlapping IPv6", "fd00::1-fd00::f", "fd00::8-fd00::ff", true],
  ])("%s: %s and %s", (_, a, b, expected) => {
    expect(rangesOverlap(range(a), range(b))).toBe(expected)
    expect(rangesOverlap(range(b), range(a))).toBe(expected)
  })
})

test("a range is written as its two ends", () => {
  expect(formatRange(range("10.1.2.1-10.1.2.254"))).toBe("10.1.2.1-10.1.2.254")
})
