import { isIP } from "node:net"
import fc from "fast-check"
import IPCIDR from "ip-cidr"
import { describe, expect, it } from "vitest"
import {
  type Address,
  addressBytes,
  addressFromBytes,
  bits,
  formatAddress,
  isLinkLocal,
  isLoopback,
  parseAddress,
  plus,
  sameAddress,
} from "./address.ts"

const address4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value): Address => ({ family: 4, value }))

/** Many zero groups, so that there is something to compress; never ::ffff:0:0/96, which is IPv4. */
const address6 = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups): Address => ({ family: 6, value: groups.reduce((value, group) => (value << 16n) + BigInt(group), 0n) }))
  .filter(({ value }) => value >> 32n !== 0xffffn)

const address = fc.oneof(address4, address6)

const almostAddress = fc
  .tuple(
    fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended()),
    fc.nat(),
    fc.constantFrom(..."0123459aFg:.%/ x", ""),
    fc.constantFrom(0, 1),
  )
  .map(([text, at, put, taken]) => {
    const start = at % (text.length + 1)
    return text.slice(0, start) + put + text.slice(start + taken)
  })

function parse(text: string): Address {
  const parsed = parseAddress(text)
  if (!parsed) throw new Error(`${text} does not parse`)
  return parsed
}

/** What the URL standard's serializer makes of it: its rules for IPv6 are those of RFC 5952. */
function throughUrl(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1)
}

describe("parseAddress", () => {
  it("accepts and refuses what Node's net.isIP does, zones aside", () => {
    fc.assert(
      fc.property(almostAddress, (text) => {
        fc.pre(!text.includes("%"))
        const family = isIP(text)
        const mapped =
          family === 6 && throughUrl(text).startsWith("::ffff:") && throughUrl(text).split(":").length === 5
        expect(parseAddress(text)?.family ?? 0).toBe(mapped ? 4 : family)
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.00",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4\n",
    "1.2.3.-4",
    "0x1.2.3.4",
    "1.2.3.4/24",
    "１.2.3.4",
    ":",
    ":::",
    "::1::",
    "1:2:3:4:5:6:7:8::9::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "fe80::1%",
    "[::1]",
    "::1.2.3",
    "::1.2.3.04",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::ffff:1.2.3.256",
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it.each([
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
    ["00AB::0001", "ab::1"],
  ])("reads %s as %s", (text, canonical) => {
    expect(formatAddress(parse(text))).toBe(canonical)
  })

  it.each(["::ffff:10.1.2.3", "::FFFF:a01:203", "0:0:0:0:0:ffff:10.1.2.3", "::ffff:0a01:0203"])(
    "counts %s as the IPv4 address in it, as Go does",
    (text) => expect(parseAddress(text)).toEqual({ family: 4, value: 0x0a010203n }),
  )

  it.each(["::fffe:a01:203", "::1:ffff:a01:203", "ffff::a01:203", "::10.1.2.3"])("counts %s as IPv6", (text) => {
    expect(parseAddress(text)?.family).toBe(6)
  })
})

describe("formatAddress", () => {
  it("is undone by parseAddress", () => {
    fc.assert(
      fc.property(address, (any) => {
        expect(parseAddress(formatAddress(any))).toEqual(any)
      }),
    )
  })

  it("writes IPv6 as the URL standard does", () => {
    fc.assert(
      fc.property(address6, (any) => {
        expect(formatAddress(any)).toBe(throughUrl(formatAddress(any)))
      }),
      { numRuns: 1000 },
    )
  })

  it("writes IPv6 as the npm package ip-address does", () => {
    fc.assert(
      fc.property(address6, (any) => {
        const text = formatAddress(any)
        expect(IPCIDR.createAddress(text).correctForm()).toBe(text)
      }),
    )
  })

  it.each([
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "of two runs as long, the first is compressed"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1", "of two runs, the longest is compressed"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "one zero group alone is written"],
    ["1:0:0:0:0:0:0:0", "1::", "a run may end the address"],
    ["0:0:1:0:0:0:0:0", "0:0:1::", "a longer run at the end wins"],
    ["2001:DB8::ABCD", "2001:db8::abcd", "digits are lower case"],
    ["2001:0db8::0001", "2001:db8::1", "groups lose leading zeros"],
  ])("writes %s as %s: %s", (text, canonical) => {
    expect(formatAddress(parse(text))).toBe(canonical)
  })

  it.each(["0.0.0.0", "10.1.2.3", "127.0.0.1", "128.0.0.1", "255.255.255.255"])("writes %s back", (text) => {
    expect(formatAddress(parse(text))).toBe(text)
  })
})

describe("addressBytes", () => {
  it("is undone by addressFromBytes", () => {
    fc.assert(
      fc.property(address, (any) => {
        expect(addressBytes(any)).toHaveLength(bits(any.family) / 8)
        expect(addressFromBytes(addressBytes(any))).toEqual(any)
      }),
    )
  })

  it("is in network byte order", () => {
    expect([...addressBytes(parse("10.1.2.3"))]).toEqual([10, 1, 2, 3])
    expect([...addressBytes(parse("2001:db8::1"))]).toEqual([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
  })

  it.each([0, 3, 5, 8, 15, 17])("does not come from %d bytes", (length) => {
    expect(addressFromBytes(new Uint8Array(length))).toBeUndefined()
  })
})

describe("plus", () => {
  it.each([
    ["10.0.0.255", 1n, "10.0.1.0"],
    ["10.0.1.0", -1n, "10.0.0.255"],
    ["fd00::ffff:ffff", 1n, "fd00::1:0:0"],
    ["255.255.255.255", 1n, "0.0.0.0"],
    ["0.0.0.0", -1n, "255.255.255.255"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1n, "::"],
  ])("%s and %d make %s", (from, count, to) => {
    expect(formatAddress(plus(parse(from), count))).toBe(to)
  })

  it("stays inside the family and is undone by its opposite", () => {
    fc.assert(
      fc.property(address, fc.bigInt({ min: -(2n ** 129n), max: 2n ** 129n }), (any, count) => {
        const moved = plus(any, count)
        expect(addressFromBytes(addressBytes(moved))).toEqual(moved)
        expect(sameAddress(plus(moved, -count), any)).toBe(true)
      }),
    )
  })
})

describe("sameAddress", () => {
  it("tells families apart", () => {
    expect(sameAddress(parse("0.0.0.1"), parse("::1"))).toBe(false)
    expect(sameAddress(parse("::1"), parse("0:0::1"))).toBe(true)
    expect(sameAddress(parse("::1"), parse("::2"))).toBe(false)
  })
})

describe("isLoopback", () => {
  it.each(["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"])("is true of %s", (text) => {
    expect(isLoopback(parse(text))).toBe(true)
  })

  it.each(["126.255.255.255", "128.0.0.0", "::", "::2", "::7f00:1"])("is false of %s", (text) => {
    expect(isLoopback(parse(text))).toBe(false)
  })
})

describe("isLinkLocal", () => {
  it.each(["fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"])("is true of %s", (text) => {
    expect(isLinkLocal(parse(text))).toBe(true)
  })

  it.each(["fec0::", "fe7f:ffff::1", "fd00::1", "254.128.0.1"])("is false of %s", (text) => {
    expect(isLinkLocal(parse(text))).toBe(false)
  })
})
