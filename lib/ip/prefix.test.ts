import { BlockList } from "node:net"
import fc from "fast-check"
import IPCIDR from "ip-cidr"
import { describe, expect, it } from "vitest"
import { type Address, bits, type Family, formatAddress, parseAddress } from "./address.ts"
import {
  contains,
  defaultPrefix,
  formatPrefix,
  hasHostBits,
  isDefault,
  lastOf,
  networkOf,
  overlaps,
  type Prefix,
  parsePrefix,
  samePrefix,
} from "./prefix.ts"

function address(family: Family): fc.Arbitrary<Address> {
  // Few distinct addresses, so that networks meet.
  const near = fc.bigInt({ min: 0n, max: 255n }).map((low) => (family === 4 ? 0x0a000000n : 0xfdn << 120n) + low)
  return fc
    .oneof(near, fc.bigInt({ min: 0n, max: 2n ** BigInt(bits(family)) - 1n }))
    .filter((value) => value >> 32n !== 0xffffn)
    .map((value) => ({ family, value }))
}

const prefixOf = (family: Family): fc.Arbitrary<Prefix> =>
  fc.record({ address: address(family), length: fc.integer({ min: 0, max: bits(family) }) })

const anyPrefix = fc.oneof(prefixOf(4), prefixOf(6))
const anyAddress = fc.oneof(address(4), address(6))

function parse(text: string): Prefix {
  const parsed = parsePrefix(text)
  if (!parsed) throw new Error(`${text} does not parse`)
  return parsed
}

function ip(text: string): Address {
  const parsed = parseAddress(text)
  if (!parsed) throw new Error(`${text} does not parse`)
  return parsed
}

function blockOf({ address, length }: Prefix): BlockList {
  const list = new BlockList()
  list.addSubnet(formatAddress(address), length, family(address))
  return list
}

const family = (address: Address) => (address.family === 4 ? "ipv4" : "ipv6")

describe("parsePrefix", () => {
  it("is the inverse of formatPrefix, host bits and all", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        expect(parsePrefix(formatPrefix(prefix))).toEqual(prefix)
      }),
    )
  })

  it("keeps host bits", () => {
    expect(formatPrefix(parse("10.2.3.1/24"))).toBe("10.2.3.1/24")
  })

  it.each([
    "",
    "/",
    "/24",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/+8",
    "10.0.0.0/ 8",
    "10.0.0.0/8 ",
    "10.0.0.0/8/8",
    "10.0.0.0/1e1",
    "10.0.0.0/255.0.0.0",
    "10.0.0/8",
    "10.0.00.0/8",
    "fd00::/129",
    "fd00::%eth0/64",
    "fd00::/4294967360",
    "10.0.0.0/99999999999999999999",
  ])("refuses %j", (text) => {
    expect(parsePrefix(text)).toBeUndefined()
  })

  it("reads a length with leading zeros, as Go does", () => {
    expect(parsePrefix("10.0.0.0/0000024")).toEqual(parse("10.0.0.0/24"))
  })

  it("refuses IPv4 in IPv6 clothes, whose length Go would count in either family", () => {
    expect(parsePrefix("::ffff:10.0.0.0/120")).toBeUndefined()
    expect(parsePrefix("::ffff:10.0.0.0/24")).toBeUndefined()
  })

  it.each(["0.0.0.0/0", "::/0", "10.1.2.3/32", "fd00::1/128"])("reads %s", (text) => {
    expect(formatPrefix(parse(text))).toBe(text)
  })
})

describe("networkOf and lastOf", () => {
  it("are the first and last address that ip-cidr sees in the network", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        const oracle = new IPCIDR(formatPrefix(prefix))
        expect(formatAddress(networkOf(prefix).address)).toBe(IPCIDR.createAddress(oracle.start()).correctForm())
        expect(formatAddress(lastOf(prefix))).toBe(IPCIDR.createAddress(oracle.end()).correctForm())
        expect(networkOf(prefix).length).toBe(prefix.length)
      }),
    )
  })

  it.each([
    ["10.2.3.1/24", "10.2.3.0/24", "10.2.3.255"],
    ["10.2.3.1/31", "10.2.3.0/31", "10.2.3.1"],
    ["10.2.3.1/32", "10.2.3.1/32", "10.2.3.1"],
    ["1.2.3.4/0", "0.0.0.0/0", "255.255.255.255"],
    ["fd00::5/64", "fd00::/64", "fd00::ffff:ffff:ffff:ffff"],
    ["fd00::5/128", "fd00::5/128", "fd00::5"],
  ])("%s lies in %s, which ends at %s", (text, network, last) => {
    expect(formatPrefix(networkOf(parse(text)))).toBe(network)
    expect(formatAddress(lastOf(parse(text)))).toBe(last)
  })
})

describe("hasHostBits", () => {
  it("is true of just those prefixes that are not their own network", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        expect(hasHostBits(prefix)).toBe(!samePrefix(prefix, networkOf(prefix)))
        expect(hasHostBits(networkOf(prefix))).toBe(false)
      }),
    )
  })
})

describe("contains", () => {
  it("agrees with Node's BlockList", () => {
    fc.assert(
      fc.property(anyPrefix, anyAddress, (prefix, address) => {
        const oracle = blockOf(networkOf(prefix)).check(formatAddress(address), family(address))
        expect(contains(prefix, address)).toBe(prefix.address.family === address.family && oracle)
      }),
      { numRuns: 500 },
    )
  })

  it("has the network's first and last address and not their neighbours", () => {
    const prefix = parse("10.2.3.77/24")
    expect(["10.2.2.255", "10.2.3.0", "10.2.3.255", "10.2.4.0"].map((text) => contains(prefix, ip(text)))).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  it("holds no address of the other family", () => {
    expect(contains(parse("0.0.0.0/0"), ip("::1"))).toBe(false)
    expect(contains(parse("::/0"), ip("10.0.0.1"))).toBe(false)
  })
})

describe("overlaps", () => {
  it("says that one network's first or last address lies in the other", () => {
    fc.assert(
      fc.property(anyPrefix, anyPrefix, (a, b) => {
        const ends = [
          [a, networkOf(b).address],
          [a, lastOf(b)],
          [b, networkOf(a).address],
          [b, lastOf(a)],
        ] as const
        expect(overlaps(a, b)).toBe(ends.some(([prefix, end]) => contains(prefix, end)))
        expect(overlaps(a, b)).toBe(overlaps(b, a))
      }),
    )
  })

  it.each([
    ["10.0.0.0/24", "10.0.0.128/25", true],
    ["10.0.0.0/25", "10.0.0.128/25", false],
    ["10.0.0.9/24", "10.0.0.7/24", true],
    ["0.0.0.0/0", "10.0.0.0/8", true],
    ["0.0.0.0/0", "::/0", false],
  ])("%s and %s: %s", (a, b, expected) => {
    expect(overlaps(parse(a), parse(b))).toBe(expected)
  })
})

describe("samePrefix", () => {
  it("compares family, length and every bit", () => {
    expect(samePrefix(parse("10.0.0.1/24"), parse("10.0.0.1/24"))).toBe(true)
    expect(samePrefix(parse("10.0.0.1/24"), parse("10.0.0.0/24"))).toBe(false)
    expect(samePrefix(parse("10.0.0.1/24"), parse("10.0.0.1/25"))).toBe(false)
    expect(samePrefix(parse("0.0.0.0/0"), parse("::/0"))).toBe(false)
  })
})

describe("the default prefix", () => {
  it("is 0.0.0.0/0 or ::/0", () => {
    expect(formatPrefix(defaultPrefix(4))).toBe("0.0.0.0/0")
    expect(formatPrefix(defaultPrefix(6))).toBe("::/0")
    expect(isDefault(defaultPrefix(4))).toBe(true)
    expect(isDefault(defaultPrefix(6))).toBe(true)
  })

  it("may have host bits", () => {
    expect(isDefault(parse("::1/0"))).toBe(true)
  })

  it.each(["0.0.0.0/1", "::/1", "0.0.0.0/32"])("is not %s", (text) => {
    expect(isDefault(parse(text))).toBe(false)
  })
})
