import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { parseJson } from "../../lib/cni/json.ts"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { allocate } from "./allocate.ts"
import { type RangeSet, readRangeSet } from "./range-set.ts"

function set(...ranges: object[]): RangeSet {
  return readRangeSet(parseJson(JSON.stringify(ranges)), "set")
}

function walk(ranges: RangeSet, last?: string): string[] {
  const offered: string[] = []
  allocate(ranges, last === undefined ? undefined : parseAddress(last), (address) => {
    offered.push(formatAddress(address))
    return false
  })
  return offered
}

function next(ranges: RangeSet, last: string | undefined, taken: readonly string[]): string | undefined {
  const from = last === undefined ? undefined : parseAddress(last)
  const found = allocate(ranges, from, (address) => !taken.includes(formatAddress(address)))
  return found && formatAddress(found.address)
}

const small = set({ subnet: "10.0.0.0/29" })

describe("the walk over one range", () => {
  test("starts at the first address and leaves out the gateway, the network and the broadcast address", () => {
    expect(walk(small)).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"])
  })

  test("starts behind the last reserved address and comes to that one last", () => {
    expect(walk(small, "10.0.0.4")).toEqual(["10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4"])
  })

  test("starts over when the last reserved address is the end of the range", () => {
    expect(walk(small, "10.0.0.6")).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"])
  })

  test.each(["10.0.0.7", "10.0.1.3", "192.168.0.1", "::a00:3"])(
    "ignores a last reserved address outside: %s",
    (last) => {
      expect(walk(small, last)).toEqual(walk(small))
    },
  )

  test("goes on behind a last reserved address that is the gateway", () => {
    expect(walk(small, "10.0.0.1")).toEqual(walk(small))
  })

  test("a /30 has one address", () => {
    expect(walk(set({ subnet: "10.0.0.0/30" }))).toEqual(["10.0.0.2"])
    expect(walk(set({ subnet: "10.0.0.0/30" }), "10.0.0.2")).toEqual(["10.0.0.2"])
  })

  test("a range that is nothing but its gateway has none", () => {
    const only = { subnet: "10.0.0.0/29", rangeStart: "10.0.0.1", rangeEnd: "10.0.0.1" }
    expect(walk(set(only))).toEqual([])
    expect(walk(set(only), "10.0.0.1")).toEqual([])
  })

  test("leases the ends of a subnet if the range names them", () => {
    const range = { subnet: "10.0.0.0/30", rangeStart: "10.0.0.0", rangeEnd: "10.0.0.3", gateway: "10.9.9.9" }
    expect(walk(set(range))).toEqual(["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"])
  })

  test("knows no broadcast address in IPv6", () => {
    expect(walk(set({ subnet: "fd00::/126" }))).toEqual(["fd00::2", "fd00::3"])
  })
})

describe("the walk over several ranges", () => {
  const two = set({ subnet: "10.0.0.0/30" }, { subnet: "10.0.1.0/29", rangeEnd: "10.0.1.3" })

  test("goes from one range to the next and back to the first", () => {
    expect(walk(two)).toEqual(["10.0.0.2", "10.0.1.2", "10.0.1.3"])
    expect(walk(two, "10.0.1.2")).toEqual(["10.0.1.3", "10.0.0.2", "10.0.1.2"])
  })

  test("starts at the next range's first address when the last reserved one ends its range", () => {
    expect(walk(two, "10.0.0.2")).toEqual(["10.0.1.2", "10.0.1.3", "10.0.0.2"])
    expect(walk(two, "10.0.1.3")).toEqual(["10.0.0.2", "10.0.1.2", "10.0.1.3"])
  })

  test("leaves out a gateway only in its own range", () => {
    const crossed = set({ subnet: "10.0.0.0/30", gateway: "10.0.1.2" }, { subnet: "10.0.1.0/30", gateway: "10.0.0.1" })
    expect(walk(crossed)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"])
  })
})

describe("allocate", () => {
  test.each([
    ["nothing reserved yet", undefined, [], "10.0.0.2"],
    ["the next one", "10.0.0.5", [], "10.0.0.6"],
    ["over the end", "10.0.0.5", ["10.0.0.6"], "10.0.0.2"],
    [
      "the last reserved one if all others are taken",
      "10.0.0.5",
      ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.6"],
      "10.0.0.5",
    ],
    ["not the one just released", "10.0.0.2", [], "10.0.0.3"],
    ["a last reserved address out of range", "10.0.0.128", ["10.0.0.2"], "10.0.0.3"],
    ["nothing when all are taken", "10.0.0.5", ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"], undefined],
  ])("gives %s", (_, last, taken, expected) => {
    expect(next(small, last, taken)).toBe(expected)
  })

  test("reserves the address in the range it comes from", () => {
    const two = set({ subnet: "10.0.0.0/30" }, { subnet: "10.0.1.0/24", gateway: "10.0.1.77" })
    const found = allocate(two, parseAddress("10.0.0.2"), () => true)
    expect(found?.range).toBe(two[1])
  })

  test("asks only for as many addresses as are taken in an IPv6 /64, and one", () => {
    let asked = 0
    allocate(set({ subnet: "fd00::/64" }), parseAddress("fd00::ffff:ffff:ffff:fff0"), () => ++asked > 5000)
    expect(asked).toBe(5001)
  })
})

/** Ranges 10.0.<index>.0/24 with random ends and gateways near them. */
const anySet = fc
  .array(
    fc.record({ from: fc.integer({ min: 1, max: 20 }), size: fc.integer({ min: 0, max: 20 }), gateway: fc.nat(45) }),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((ranges) =>
    set(
      ...ranges.map(({ from, size, gateway }, index) => ({
        subnet: `10.0.${index}.0/24`,
        rangeStart: `10.0.${index}.${from}`,
        rangeEnd: `10.0.${index}.${from + size}`,
        gateway: `10.0.${index}.${gateway}`,
      })),
    ),
  )

/** Every address of the set in ascending order, by the plainest means. */
function listed(ranges: RangeSet): Address[] {
  return ranges.flatMap(({ first, last }) =>
    Array.from({ length: Number(last.value - first.value) + 1 }, (_, index) => ({
      family: first.family,
      value: first.value + BigInt(index),
    })),
  )
}

function isGateway(ranges: RangeSet, { value }: Address): boolean {
  return ranges.some(
    ({ first, last, gateway }) => first.value <= value && value <= last.value && gateway?.value === value,
  )
}

describe("for any set", () => {
  test("the walk is the ascending list turned until it starts behind the last reserved address", () => {
    fc.assert(
      fc.property(anySet, fc.nat(2), fc.nat(50), (ranges, third, fourth) => {
        const last = `10.0.${third}.${fourth}`
        const all = listed(ranges)
        const cut = all.findIndex((address) => formatAddress(address) === last) + 1
        const turned = [...all.slice(cut), ...all.slice(0, cut)].filter((address) => !isGateway(ranges, address))
        expect(walk(ranges, last)).toEqual(turned.map(formatAddress))
      }),
    )
  })

  test("repeated allocation gives every address once before it gives none", () => {
    fc.assert(
      fc.property(anySet, (ranges) => {
        const given: string[] = []
        for (let last: string | undefined; ; ) {
          const address = next(ranges, last, given)
          if (address === undefined) break
          given.push(address)
          last = address
        }
        expect(given).toEqual(walk(ranges))
        expect(new Set(given).size).toBe(given.length)
      }),
    )
  })
})
