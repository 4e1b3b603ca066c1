import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { formatAddress } from "../../../lib/ip/address.ts"
import { bucketOf, emptyBucket, isWhole, printBucket, readLine, readRecordedLeases, withLine } from "./index-bucket.ts"
import { holderOf, type LeaseHolder, legacyHolderOf, readHolder } from "./lease-holder.ts"
import { type LeaseRecord, parseLeaseRecord, printLeaseRecord } from "./lease-record.ts"
import { LeasesByHolder } from "./leases-by-holder.ts"

const web = holderOf({ containerId: "web", ifname: "eth0" })
const web1 = holderOf({ containerId: "web", ifname: "eth1" })
const legacyWeb = legacyHolderOf({ containerId: "web" })

describe("a bucket of the index", () => {
  test("holds a line for each holder, which a person can read", () => {
    const text = withLine(emptyBucket, web, ["fd00::3", "10.1.2.3"])
    expect(text).toBe('cni-ts lease index 2\n"web\\r\\neth0" 10.1.2.3 fd00::3\n')
    expect(readLine(text, web)).toEqual(["10.1.2.3", "fd00::3"])
  })

  test("tells the interfaces of a container apart, and leases that name only the container", () => {
    const text = withLine(withLine(emptyBucket, web, ["10.1.2.3"]), web1, ["10.1.2.4"])
    expect([web, web1, legacyWeb].map((holder) => readLine(text, holder))).toEqual([["10.1.2.3"], ["10.1.2.4"], []])
    expect(new Set([web, web1, legacyWeb].map(bucketOf)).size).toBe(1)
  })

  test("forgets a holder without addresses", () => {
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

const anyHolder = fc
  .oneof(
    fc.constantFrom("a", "ab", "a\r\neth0", "a\r\neth", 'a"', "a\n", "a ", "a\\", "b\r\neth0"),
    fc.string(),
    fc.string({ unit: "binary" }),
  )
  .map(readHolder)
  .filter((holder) => holder !== undefined)
const anyNames = fc
  .uniqueArray(fc.nat(0xffff), { minLength: 1, maxLength: 3 })
  .map((values) => values.map((value) => formatAddress({ family: 4, value: BigInt(value) })).sort())

describe("for any holders", () => {
  test("lines written one after the other are a map, whatever the holders are called", () => {
    const change = fc.tuple(anyHolder, fc.option(anyNames, { nil: [] }))
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const model = new Map<LeaseHolder, string[]>(changes)
        const text = changes.reduce((before, [holder, held]) => withLine(before, holder, held), emptyBucket)
        expect(isWhole(text)).toBe(true)
        for (const [holder, held] of model) expect(readLine(text, holder)).toEqual(held)
      }),
    )
  })

  test("all of them are found in their bucket", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyHolder, anyNames)), (entries) => {
        const [leases, all] = [new Map(entries), new LeasesByHolder()]
        for (const [holder, held] of leases) for (const name of held) all.add(holder, name)
        for (const [holder, held] of leases) {
          const text = printBucket(all.in(bucketOf(holder)), emptyBucket)
          expect(isWhole(text)).toBe(true)
          expect(readLine(text, holder)).toEqual(held)
        }
      }),
    )
  })
})

test("container ids spread over all 256 buckets", () => {
  const ids = Array.from({ length: 5000 }, (_, index) => legacyHolderOf({ containerId: `container-${index}` }))
  const sizes = new Map<string, number>()
  for (const id of ids) sizes.set(bucketOf(id), (sizes.get(bucketOf(id)) ?? 0) + 1)
  expect(sizes.size).toBe(256)
  expect(Math.max(...sizes.values())).toBeLessThan(60)
})

const home: LeaseRecord = {
  boot: "a37b5011-d9dd-4740-878c-2e7679955afb",
  mounts: "4026531832",
  namespace: "4026532177@1763950000.5",
  lease: "131.1763950000.5",
  path: "/run/netns/cni-1",
}

describe("the record of a network namespace", () => {
  test("is on the holder's line, and is not taken for an address", () => {
    const text = withLine(emptyBucket, web, ["10.1.2.3", "fd00::3"], home)
    expect(text.split("\n")[1]).toBe(
      '"web\\r\\neth0" 10.1.2.3 fd00::3 in a37b5011-d9dd-4740-878c-2e7679955afb 4026531832 4026532177@1763950000.5 131.1763950000.5 "/run/netns/cni-1"',
    )
    expect(readLine(text, web)).toEqual(["10.1.2.3", "fd00::3"])
    expect(readRecordedLeases(text, () => true)).toEqual([
      { holder: web, names: ["10.1.2.3", "fd00::3"], record: home },
    ])
  })

  test("is kept when the bucket is printed anew, for holders that still have a lease", () => {
    const leases = new Map([
      [web, ["10.1.2.3"]],
      [web1, ["10.1.2.4"]],
    ])
    const before = [web, legacyWeb].reduce((text, holder) => withLine(text, holder, ["10.1.2.9"], home), emptyBucket)
    expect(readRecordedLeases(printBucket(leases, before), () => true)).toEqual([
      { holder: web, names: ["10.1.2.3"], record: home },
    ])
  })

  test("of any holder and path can be read again", () => {
    fc.assert(
      fc.property(anyHolder, fc.string({ unit: "binary" }), anyNames, (holder, path, leased) => {
        const record = { ...home, path }
        const text = withLine(withLine(emptyBucket, web, ["10.9.9.9"]), holder, leased, record)
        expect(readRecordedLeases(text, () => true).filter((recorded) => recorded.holder === holder)).toEqual([
          { holder, names: leased, record },
        ])
        expect(parseLeaseRecord(printLeaseRecord(record))).toEqual(record)
      }),
    )
  })

  test.each(["/run/\u2028a", "/run/\u2029a"])(
    "of the path %j can be read again, which has a line's end in JavaScript alone",
    (path) => {
      expect(parseLeaseRecord(printLeaseRecord({ ...home, path }))).toEqual({ ...home, path })
    },
  )

  test.each(["", "a b", 'boot 1 - 3 "unfinished', 'boot x 2 3 "/run"', 'boot 1 - 3 "a"b"', "boot 1 - 3 /run"])(
    "is none if the line says %j",
    (text) => {
      expect(parseLeaseRecord(text)).toBeUndefined()
      expect(readRecordedLeases(`${emptyBucket}"web" 10.1.2.3 in ${text}\n`, () => true)).toEqual([])
    },
  )

  test("is not read from a damaged bucket", () => {
    const text = withLine(emptyBucket, web, ["10.1.2.3"], home)
    expect(readRecordedLeases(text.slice(0, -1), () => true)).toEqual([])
    expect(readRecordedLeases(text.replace("index 2", "index 1"), () => true)).toEqual([])
  })
})
