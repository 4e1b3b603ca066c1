import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { bucketOf, emptyBucket, isWhole, printBuckets, readLine, withLine } from "./index-bucket.ts"
import { legacyOwnerOf, type Owner, ownerOf, readOwner } from "./owner.ts"

function addresses(...texts: string[]): Address[] {
  return texts.map(parseAddress).filter((address): address is Address => address !== undefined)
}

function read(text: string, owner: Owner): string[] | undefined {
  return readLine(text, owner)?.map(formatAddress)
}

const web = ownerOf({ containerId: "web", ifname: "eth0" })
const web1 = ownerOf({ containerId: "web", ifname: "eth1" })
const legacyWeb = legacyOwnerOf({ containerId: "web" })

describe("a part of the index", () => {
  test("holds a line for each owner, which a person can read", () => {
    const text = withLine(emptyBucket, web, addresses("fd00::3", "10.1.2.3"))
    expect(text).toBe('cni-ts lease index 1\n"web\\r\\neth0" 10.1.2.3 fd00::3\n')
    expect(read(text, web)).toEqual(["10.1.2.3", "fd00::3"])
  })

  test("tells the interfaces of a container apart, and leases that name only the container", () => {
    const text = withLine(withLine(emptyBucket, web, addresses("10.1.2.3")), web1, addresses("10.1.2.4"))
    expect([web, web1, legacyWeb].map((owner) => read(text, owner))).toEqual([["10.1.2.3"], ["10.1.2.4"], []])
    expect(new Set([web, web1, legacyWeb].map(bucketOf)).size).toBe(1)
  })

  test("forgets an owner without addresses", () => {
    const text = withLine(emptyBucket, web, addresses("10.1.2.3"))
    expect(withLine(text, web, [])).toBe(emptyBucket)
  })

  test("gives nothing for a line that makes no sense", () => {
    expect(read(`${emptyBucket}"web\\r\\neth0" 10.1.2\n`, web)).toBeUndefined()
  })

  test.each(["", "\0\0\0\0", emptyBucket.slice(0, 5), `${emptyBucket}"web`, `${emptyBucket}\0\0\n`])(
    "is known to be damaged as %j",
    (text) => {
      expect(isWhole(text)).toBe(false)
    },
  )
})

const anyOwner = fc
  .oneof(
    fc.constantFrom("a", "ab", "a\r\neth0", "a\r\neth", 'a"', "a\n", "a ", "a\\", "b\r\neth0"),
    fc.string(),
    fc.string({ unit: "binary" }),
  )
  .map(readOwner)
  .filter((owner) => owner !== undefined)
const anyAddresses = fc
  .uniqueArray(fc.nat(0xffff), { minLength: 1, maxLength: 3 })
  .map((values) => values.map((value): Address => ({ family: 4, value: BigInt(value) })).sort(byText))

function byText(a: Address, b: Address): number {
  return formatAddress(a) < formatAddress(b) ? -1 : 1
}

describe("for any owners", () => {
  test("lines written one after the other are a map, whatever the owners are called", () => {
    const change = fc.tuple(anyOwner, fc.option(anyAddresses, { nil: [] }))
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const model = new Map<Owner, Address[]>(changes)
        const text = changes.reduce((before, [owner, held]) => withLine(before, owner, held), emptyBucket)
        expect(isWhole(text)).toBe(true)
        for (const [owner, held] of model) expect(readLine(text, owner)).toEqual(held)
      }),
    )
  })

  test("all of them are found in the part they belong to", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyOwner, anyAddresses)), (entries) => {
        const leases = new Map(entries)
        const buckets = printBuckets(leases)
        for (const [owner, held] of leases) {
          expect(readLine(buckets.get(bucketOf(owner)) ?? "", owner)).toEqual(held)
        }
        for (const text of buckets.values()) expect(isWhole(text)).toBe(true)
      }),
    )
  })
})

test("container ids spread over all 256 parts", () => {
  const ids = Array.from({ length: 5000 }, (_, index) => legacyOwnerOf({ containerId: `container-${index}` }))
  const sizes = new Map<string, number>()
  for (const id of ids) sizes.set(bucketOf(id), (sizes.get(bucketOf(id)) ?? 0) + 1)
  expect(sizes.size).toBe(256)
  expect(Math.max(...sizes.values())).toBeLessThan(60)
})
