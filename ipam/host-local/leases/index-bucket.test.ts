import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { formatAddress } from "../../../lib/ip/address.ts"
import { bucketOf, emptyBucket, isWhole, printBucket, readHoused, readLine, withLine } from "./index-bucket.ts"
import { legacyOwnerOf, type Owner, ownerOf, readOwner } from "./lease-holder.ts"
import { parseTenancy, printTenancy, type Tenancy } from "./lease-record.ts"
import { Leases } from "./leases-by-holder.ts"

const web = ownerOf({ containerId: "web", ifname: "eth0" })
const web1 = ownerOf({ containerId: "web", ifname: "eth1" })
const legacyWeb = legacyOwnerOf({ containerId: "web" })

describe("a part of the index", () => {
  test("holds a line for each owner, which a person can read", () => {
    const text = withLine(emptyBucket, web, ["fd00::3", "10.1.2.3"])
    expect(text).toBe('cni-ts lease index 2\n"web\\r\\neth0" 10.1.2.3 fd00::3\n')
    expect(readLine(text, web)).toEqual(["10.1.2.3", "fd00::3"])
  })

  test("tells the interfaces of a container apart, and leases that name only the container", () => {
    const text = withLine(withLine(emptyBucket, web, ["10.1.2.3"]), web1, ["10.1.2.4"])
    expect([web, web1, legacyWeb].map((owner) => readLine(text, owner))).toEqual([["10.1.2.3"], ["10.1.2.4"], []])
    expect(new Set([web, web1, legacyWeb].map(bucketOf)).size).toBe(1)
  })

  test("forgets an owner without addresses", () => {
    const text = withLine(emptyBucket, web, ["10.1.2.3"])
    expect(withLine(text, web, [])).toBe(emptyBucket)
  })

  test("gives nothing for a line that makes no sense", () => {
    expect(readLine(`${emptyBucket}"web\\r\\neth0" 10.1.2\n`, web)).toBeUndefined()
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
const anyNames = fc
  .uniqueArray(fc.nat(0xffff), { minLength: 1, maxLength: 3 })
  .map((values) => values.map((value) => formatAddress({ family: 4, value: BigInt(value) })).sort())

describe("for any owners", () => {
  test("lines written one after the other are a map, whatever the owners are called", () => {
    const change = fc.tuple(anyOwner, fc.option(anyNames, { nil: [] }))
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const model = new Map<Owner, string[]>(changes)
        const text = changes.reduce((before, [owner, held]) => withLine(before, owner, held), emptyBucket)
        expect(isWhole(text)).toBe(true)
        for (const [owner, held] of model) expect(readLine(text, owner)).toEqual(held)
      }),
    )
  })

  test("all of them are found in the part they belong to", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyOwner, anyNames)), (entries) => {
        const [leases, all] = [new Map(entries), new Leases()]
        for (const [owner, held] of leases) for (const name of held) all.add(owner, name)
        for (const [owner, held] of leases) {
          const text = printBucket(all.in(bucketOf(owner)), emptyBucket)
          expect(isWhole(text)).toBe(true)
          expect(readLine(text, owner)).toEqual(held)
        }
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

const home: Tenancy = {
  boot: "a37b5011-d9dd-4740-878c-2e7679955afb",
  mounts: "4026531832",
  namespace: "4026532177@1763950000.5",
  lease: "131.1763950000.5",
  path: "/run/netns/cni-1",
}

describe("where an owner lives", () => {
  test("stands on the owner's line, and is not taken for an address", () => {
    const text = withLine(emptyBucket, web, ["10.1.2.3", "fd00::3"], home)
    expect(text.split("\n")[1]).toBe(
      '"web\\r\\neth0" 10.1.2.3 fd00::3 in a37b5011-d9dd-4740-878c-2e7679955afb 4026531832 4026532177@1763950000.5 131.1763950000.5 "/run/netns/cni-1"',
    )
    expect(readLine(text, web)).toEqual(["10.1.2.3", "fd00::3"])
    expect(readHoused(text, () => true)).toEqual([{ owner: web, names: ["10.1.2.3", "fd00::3"], tenancy: home }])
  })

  test("is kept when the index is made anew, for those who still have a lease", () => {
    const leases = new Map([
      [web, ["10.1.2.3"]],
      [web1, ["10.1.2.4"]],
    ])
    const before = [web, legacyWeb].reduce((text, owner) => withLine(text, owner, ["10.1.2.9"], home), emptyBucket)
    expect(readHoused(printBucket(leases, before), () => true)).toEqual([
      { owner: web, names: ["10.1.2.3"], tenancy: home },
    ])
  })

  test("of any owner and path can be read again", () => {
    fc.assert(
      fc.property(anyOwner, fc.string({ unit: "binary" }), anyNames, (owner, path, leased) => {
        const tenancy = { ...home, path }
        const text = withLine(withLine(emptyBucket, web, ["10.9.9.9"]), owner, leased, tenancy)
        expect(readHoused(text, () => true).filter((housed) => housed.owner === owner)).toEqual([
          { owner, names: leased, tenancy },
        ])
        expect(parseTenancy(printTenancy(tenancy))).toEqual(tenancy)
      }),
    )
  })

  test.each(["", "a b", 'boot 1 - 3 "unfinished', 'boot x 2 3 "/run"', 'boot 1 - 3 "a"b"', "boot 1 - 3 /run"])(
    "is nowhere where its line says %j",
    (text) => {
      expect(parseTenancy(text)).toBeUndefined()
      expect(readHoused(`${emptyBucket}"web" 10.1.2.3 in ${text}\n`, () => true)).toEqual([])
    },
  )

  test("is not believed in a part that is damaged", () => {
    const text = withLine(emptyBucket, web, ["10.1.2.3"], home)
    expect(readHoused(text.slice(0, -1), () => true)).toEqual([])
    expect(readHoused(text.replace("index 2", "index 1"), () => true)).toEqual([])
  })
})
