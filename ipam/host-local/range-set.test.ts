import { describe, expect, test } from "vitest"
import { parseJson } from "../../lib/cni/json.ts"
import { formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { formatSet, type RangeSet, rangeOf, readRangeSet, setsOverlap } from "./range-set.ts"

type Written = Record<string, unknown>

function set(...ranges: Written[]): RangeSet {
  return readRangeSet(parseJson(JSON.stringify(ranges)), "ipam.ranges[0]")
}

function described(range: Written) {
  const [{ first, last, gateway }] = set(range)
  return { first: formatAddress(first), last: formatAddress(last), gateway: gateway && formatAddress(gateway) }
}

describe("a range that names only its subnet", () => {
  test.each([
    ["192.0.2.0/24", "192.0.2.1", "192.0.2.254"],
    ["192.0.2.0/25", "192.0.2.1", "192.0.2.126"],
    ["192.0.2.128/25", "192.0.2.129", "192.0.2.254"],
    ["10.0.0.0/30", "10.0.0.1", "10.0.0.2"],
    ["2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff"],
    ["2001:db8:1::/126", "2001:db8:1::1", "2001:db8:1::3"],
  ])("%s reaches from the first host, which is the gateway, to the last", (subnet, first, last) => {
    expect(described({ subnet })).toEqual({ first, last, gateway: first })
  })

  test.each([
    ["192.0.2.6/31", "192.0.2.6", "192.0.2.7"],
    ["2001:db8::/127", "2001:db8::", "2001:db8::1"],
  ])("%s, of two addresses, is both of them, without a gateway", (subnet, first, last) => {
    expect(described({ subnet })).toEqual({ first, last, gateway: undefined })
  })
})

describe("a range may say more", () => {
  test("start, end and gateway are taken as written", () => {
    const range = { subnet: "192.0.2.0/24", rangeStart: "192.0.2.40", rangeEnd: "192.0.2.50", gateway: "192.0.2.254" }
    expect(described(range)).toEqual({ first: "192.0.2.40", last: "192.0.2.50", gateway: "192.0.2.254" })
  })

  test("a start without an end, and an end without a start, leave the other at its default", () => {
    expect(described({ subnet: "192.0.2.0/24", rangeStart: "192.0.2.40" }).last).toBe("192.0.2.254")
    expect(described({ subnet: "192.0.2.0/24", rangeEnd: "192.0.2.40" }).first).toBe("192.0.2.1")
  })

  test("the gateway need not lie in the subnet", () => {
    expect(described({ subnet: "192.0.2.0/24", gateway: "198.51.100.1" }).gateway).toBe("198.51.100.1")
  })

  test("the network address and the broadcast address are leased if they are named", () => {
    const range = { subnet: "192.0.2.0/24", rangeStart: "192.0.2.0", rangeEnd: "192.0.2.255" }
    expect(described(range)).toMatchObject({ first: "192.0.2.0", last: "192.0.2.255" })
  })

  test("empty texts count as absent, and keys match in any case", () => {
    expect(described({ Subnet: "192.0.2.0/24", RangeStart: "", gateway: "" })).toMatchObject({ first: "192.0.2.1" })
  })
})

describe("a range is refused, with its path and the Go plugin's words,", () => {
  const inside = "192.0.2.0/24"
  test.each([
    ["host bits", { subnet: "192.0.2.1/24" }, "subnet", "a subnet mask of length 24 the network address is 192.0.2.0"],
    ["host bits of an odd length", { subnet: "192.0.2.1/27" }, "subnet", "length 27 the network address is 192.0.2.0"],
    ["host bits in IPv6", { subnet: "2001:db8::1/64" }, "subnet", "length 64 the network address is 2001:db8::"],
    ["a /32", { subnet: "192.0.2.0/32" }, "subnet", "Network 192.0.2.0/32 too small to allocate from"],
    ["a /128", { subnet: "2001:db8::/128" }, "subnet", "Network 2001:db8::/128 too small to allocate from"],
    ["no subnet", { rangeStart: "192.0.2.1" }, "subnet", "IP <nil> not v4 nor v6"],
    ["a mapped subnet", { subnet: "::ffff:192.0.2.0/120" }, "subnet", "is not an address with a prefix length"],
    ["no prefix length", { subnet: "192.0.2.0" }, "subnet", "is not an address with a prefix length"],
    [
      "a start before the subnet",
      { subnet: inside, rangeStart: "192.0.1.255" },
      "rangeStart",
      "RangeStart 192.0.1.255 not in network 192.0.2.0/24",
    ],
    [
      "a start behind the subnet",
      { subnet: inside, rangeStart: "192.0.3.0" },
      "rangeStart",
      "RangeStart 192.0.3.0 not in network 192.0.2.0/24",
    ],
    [
      "a start of the other family",
      { subnet: inside, rangeStart: "::1" },
      "rangeStart",
      "RangeStart ::1 not in network 192.0.2.0/24: it is an IPv6 address, the subnet is of IPv4",
    ],
    [
      "an end before the subnet",
      { subnet: inside, rangeEnd: "192.0.1.255" },
      "rangeEnd",
      "RangeEnd 192.0.1.255 not in network 192.0.2.0/24",
    ],
    [
      "an end behind the subnet",
      { subnet: inside, rangeEnd: "192.0.3.0" },
      "rangeEnd",
      "RangeEnd 192.0.3.0 not in network 192.0.2.0/24",
    ],
    [
      "a reversed pair, by its start",
      { subnet: inside, rangeStart: "192.0.2.50", rangeEnd: "192.0.2.40" },
      "rangeStart",
      "RangeStart 192.0.2.50 not in network 192.0.2.0/24",
    ],
    [
      "an end at the network address, which the default start lies behind",
      { subnet: inside, rangeEnd: "192.0.2.0" },
      "rangeEnd",
      "RangeEnd 192.0.2.0 not in network 192.0.2.0/24",
    ],
    [
      "a start at the broadcast address, which the default end lies before",
      { subnet: inside, rangeStart: "192.0.2.255" },
      "rangeStart",
      "RangeStart 192.0.2.255 not in network 192.0.2.0/24",
    ],
    ["a gateway that is no address", { subnet: inside, gateway: "gw" }, "gateway", '"gw" is not an IP address'],
    ["a zone", { subnet: "fe80::%eth0/64" }, "subnet", "is not an address with a prefix length"],
  ])("for %s", (_, range, key, words) => {
    expect(() => set(range)).toThrow(
      expect.objectContaining({ code: 7, message: expect.stringContaining(`ipam.ranges[0][0].${key}: `) }),
    )
    expect(() => set(range)).toThrow(words)
  })
})

describe("a range set is refused", () => {
  test("when it is empty", () => {
    expect(() => set()).toThrow("ipam.ranges[0]: empty range set")
  })

  test("when it mixes families", () => {
    expect(() => set({ subnet: "10.0.0.0/24" }, { subnet: "fd00::/64" })).toThrow("mixed address families")
  })

  test("when its ranges overlap", () => {
    const ranges = [{ subnet: "10.0.0.0/20" }, { subnet: "10.0.1.0/24" }]
    expect(() => set(...ranges)).toThrow("subnets 10.0.0.1-10.0.15.254 and 10.0.1.1-10.0.1.254 overlap")
  })

  test("when it is no list of objects", () => {
    expect(() => readRangeSet(parseJson('[["10.0.0.0/24"]]'), "ipam.ranges[0]")).toThrow(
      expect.objectContaining({ code: 6, message: expect.stringContaining("ipam.ranges[0][0]: expected an object") }),
    )
  })
})

describe("sets overlap by the addresses they lease, not by their subnets", () => {
  const spanned = (rangeStart: string, rangeEnd: string) => ({ subnet: "10.0.0.0/24", rangeStart, rangeEnd })
  test.each([
    ["disjoint subnets", { subnet: "10.0.0.0/24" }, { subnet: "10.0.1.0/24" }, false],
    ["equal bits of the other family", { subnet: "0.0.0.0/24" }, { subnet: "::/24" }, false],
    ["identical", { subnet: "10.0.0.0/24" }, { subnet: "10.0.0.0/24" }, true],
    ["one subnet inside the other", { subnet: "10.0.0.0/20" }, { subnet: "10.0.1.0/24" }, true],
    ["disjoint spans", spanned("10.0.0.2", "10.0.0.9"), spanned("10.0.0.20", "10.0.0.29"), false],
    ["touching spans", spanned("10.0.0.2", "10.0.0.9"), spanned("10.0.0.10", "10.0.0.29"), false],
    ["spans sharing an address", spanned("10.0.0.2", "10.0.0.10"), spanned("10.0.0.10", "10.0.0.29"), true],
  ])("%s", (_, a, b, expected) => {
    expect(setsOverlap(set(a), set(b))).toBe(expected)
    expect(setsOverlap(set(b), set(a))).toBe(expected)
  })

  test("any range of one with any range of the other", () => {
    const a = set({ subnet: "10.0.0.0/24" }, { subnet: "10.0.9.0/24" })
    const b = set({ subnet: "10.0.5.0/24" }, { subnet: "10.0.9.128/25" })
    expect(setsOverlap(a, b)).toBe(true)
  })
})

test("a set finds the range that holds an address, ends included", () => {
  const ranges = set({ subnet: "10.0.0.0/24", rangeStart: "10.0.0.5", rangeEnd: "10.0.0.7" }, { subnet: "10.0.9.0/24" })
  const indexOf = (text: string) => {
    const address = parseAddress(text)
    const range = address && rangeOf(ranges, address)
    return range && ranges.indexOf(range)
  }
  const texts = ["10.0.0.4", "10.0.0.5", "10.0.0.7", "10.0.0.8", "10.0.9.1", "::1"]
  expect(texts.map(indexOf)).toEqual([undefined, 0, 0, undefined, 1, undefined])
})

test("a set is written as its spans", () => {
  expect(formatSet(set({ subnet: "10.0.0.0/29" }, { subnet: "10.0.1.0/29" }))).toBe(
    "10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6",
  )
})
