import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { type Address, parseAddress } from "../../lib/ip/address.ts"
import { mountNamespace, readBootId } from "../../lib/sys/boot.ts"
import { namespaced } from "../../lib/testing/namespaced.ts"
import { scratchDirectory } from "../../lib/testing/scratch.ts"
import type { LeasePlace } from "./config.ts"
import { leaseDirectory } from "./lease-directory.ts"
import { openLeases } from "./lease-store.ts"
import { type Owner, ownerOf } from "./owner.ts"
import { readResidence } from "./residence.ts"
import type { Residence } from "./tenancy.ts"

const address = (text: string) => parseAddress(text) as Address
const owner = (containerId: string) => ownerOf({ containerId, ifname: "eth0" })

/** What lives in a network namespace of an earlier boot of the machine. */
const before: Residence = { boot: "00000000-1111", mounts: "1", namespace: "2@3.4", path: "/run/netns/x" }

const network = (): LeasePlace => ({ dataDir: scratchDirectory(), network: "net" })

function lease(place: LeasePlace, whose: Owner, residence: Residence | undefined, ...texts: string[]): void {
  using store = openLeases(place)
  for (const text of texts) store.take(address(text), whose)
  store.keep(whose, residence)
}

function reclaim(place: LeasePlace, of?: Owner) {
  using store = openLeases(place)
  return store.reclaim(of).map(({ owner, names, left, reason }) => ({ owner, addresses: names, left, reason }))
}

const files = (place: LeasePlace) => readdirSync(leaseDirectory(place)).sort()

describe("the leases of an earlier boot", () => {
  test("are taken back, all of an owner's, and the reason is told", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3", "fd00::3")
    lease(place, owner("b"), undefined, "10.1.2.4")
    const reason = 'its network namespace "/run/netns/x" was of an earlier boot'
    expect(reclaim(place)).toEqual([{ owner: owner("a"), addresses: ["10.1.2.3", "fd00::3"], left: [], reason }])
    expect(files(place)).toEqual(["10.1.2.4", "lock"])
    expect(reclaim(place)).toEqual([])
  })

  test("are taken back of one owner alone if only that one is asked for", () => {
    const place = network()
    for (const [id, text] of Object.entries({ a: "10.1.2.3", b: "10.1.2.4" })) lease(place, owner(id), before, text)
    expect(reclaim(place, owner("b")).map(({ addresses }) => addresses)).toEqual([["10.1.2.4"]])
    expect(files(place)).toEqual(["10.1.2.3", "lock"])
  })

  test("are known though others changed the leases since", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3")
    writeFileSync(`${leaseDirectory(place)}/10.1.2.9`, "go\r\neth0")
    expect(reclaim(place)).toHaveLength(1)
    expect(files(place)).toEqual(["10.1.2.9", "lock"])
  })

  test("can be leased again at once, and the owner has none left", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3")
    using store = openLeases(place)
    expect(store.take(address("10.1.2.3"), owner("b"))).toBe(false)
    expect(store.reclaim()).toHaveLength(1)
    expect(store.addressesOf(owner("a"))).toEqual([])
    expect(store.take(address("10.1.2.3"), owner("b"))).toBe(true)
  })
})

describe("in doubt a lease stays:", () => {
  test("one that was made anew for the same owner and address", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3")
    const path = `${leaseDirectory(place)}/10.1.2.3`
    rmSync(path)
    writeFileSync(path, "a\r\neth0")
    expect(reclaim(place)).toEqual([])
    expect(files(place)).toContain("10.1.2.3")
  })

  test("one that somebody else has written to", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3")
    writeFileSync(`${leaseDirectory(place)}/10.1.2.3`, "b\r\neth0")
    expect(reclaim(place)).toEqual([])
  })

  test("the second of an owner's, made anew, while the first is taken back", () => {
    const place = network()
    lease(place, owner("a"), before, "10.1.2.3", "fd00::3")
    const path = `${leaseDirectory(place)}/fd00::3`
    rmSync(path)
    writeFileSync(path, "a\r\neth0")
    expect(reclaim(place)).toMatchObject([{ addresses: ["10.1.2.3"], left: ["fd00::3"] }])
    expect(files(place)).toEqual(["fd00::3", "lock"])
  })

  const now = () => ({ ...before, boot: readBootId(), mounts: `${mountNamespace().inode}`, path: "/proc/x" })
  test.each<[string, () => Residence | undefined]>([
    ["whose owner lives nobody knows where", () => undefined],
    ["of another mount namespace, where its path may lead elsewhere", () => ({ ...now(), mounts: "1" })],
    ["of a namespace that was mounted nowhere", () => ({ ...now(), namespace: "-" })],
    ["of a namespace whose directory cannot be seen", () => ({ ...now(), path: "/no/such/directory/x" })],
    ["of the namespace that this process is in", () => readResidence("/proc/self/ns/net")],
  ])("one %s", (_, residence) => {
    const place = network()
    lease(place, owner("a"), residence(), "10.1.2.3")
    expect(reclaim(place)).toEqual([])
    expect(files(place)).toEqual(["10.1.2.3", "lock"])
  })
})

test.each(["/etc/hostname", "/no/such/netns", "/etc/hostname/x", ""])("%j is no place to live", (netns) => {
  expect(readResidence(netns)).toBeUndefined()
})

test("a lease lives as long as its namespace is mounted or anybody is in it", () => {
  const gone = expect.stringMatching(/^its network namespace "\/.*" is gone$/)
  expect(namespaced("reclaiming.ts")).toEqual({ mounted: [], inhabited: [], deserted: [gone], again: [] })
})
