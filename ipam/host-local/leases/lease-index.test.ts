import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { describe, expect, test, vi } from "vitest"
import { host } from "../../../lib/sys/host.ts"
import { scratchDirectory } from "../../../lib/testing/scratch.ts"
import { holderOf, type LeaseHolder } from "./lease-holder.ts"
import { LeaseIndex } from "./lease-index.ts"
import type { LeaseRecord } from "./lease-record.ts"
import { LeasesByHolder } from "./leases-by-holder.ts"

const holder = (containerId: string) => holderOf({ containerId, ifname: "eth0" })
const home: LeaseRecord = { boot: "b", mounts: "1", namespace: "2@3.4", lease: "5.6.7", path: "/run/netns/a" }

/** Makes a place for an index and its leases. */
function place(): { path: string; leases: string } {
  const directory = scratchDirectory()
  mkdirSync(`${directory}/net`)
  return { path: `${directory}/.cni-ts/net`, leases: `${directory}/net` }
}

const read = (index: LeaseIndex, whose: LeaseHolder) => index.get(whose)
/** Returns two leases of each holder; their last digit is 2 for a, 3 for b, 4 for c. */
function leasesOf(...ids: string[]): LeasesByHolder {
  const leases = new LeasesByHolder()
  for (const id of ids) {
    const host = "abc".indexOf(id) + 2
    leases.set(holder(id), [`10.1.2.${host}`, `fd00::${host}`])
  }
  return leases
}

const three = () => leasesOf("a", "b", "c")

describe("an index", () => {
  test("tells what it was made from, bucket by bucket", () => {
    const { path } = place()
    new LeaseIndex(path).replace(three())
    const index = new LeaseIndex(path)
    expect(read(index, holder("b"))).toEqual(["10.1.2.3", "fd00::3"])
    expect(read(index, holder("none"))).toEqual([])
    expect(statSync(path).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(path)) expect(name).toMatch(/^[0-9a-f]{2}$/)
  })

  test("tells one holder's change, and forgets a holder without addresses with the file", () => {
    const { path } = place()
    const index = new LeaseIndex(path)
    index.replace(three())
    const files = readdirSync(path).length
    index.set(holder("b"), ["10.1.2.9"])
    expect(read(new LeaseIndex(path), holder("b"))).toEqual(["10.1.2.9"])
    expect(read(new LeaseIndex(path), holder("a"))).toEqual(["10.1.2.2", "fd00::2"])
    index.set(holder("b"), [])
    expect(readdirSync(path)).toHaveLength(files - 1)
  })

  test("forgets holders that it is not made from again, and keeps the records of the others", () => {
    const { path } = place()
    new LeaseIndex(path).replace(three())
    for (const id of ["a", "b"]) new LeaseIndex(path).set(holder(id), ["10.1.2.9"], home)
    const left = leasesOf("a", "c")
    new LeaseIndex(path).replace(left)
    expect(new LeaseIndex(path).recorded()).toEqual([
      { holder: holder("a"), names: left.of(holder("a")), record: home },
    ])
    expect(new LeaseIndex(path).recorded(holder("c"))).toEqual([])
    expect(new LeaseIndex(path).recorded(holder("a"))).toHaveLength(1)
  })

  test("forgets many holders, and writes each bucket once", () => {
    const { path } = place()
    const ids = Array.from({ length: 2000 }, (_, at) => `pod-${at}`)
    const leases = new LeasesByHolder()
    for (const id of ids) leases.set(holder(id), ["10.1.2.3"])
    new LeaseIndex(path).replace(leases)
    const rename = vi.spyOn(host, "rename")
    new LeaseIndex(path).drop(ids.slice(1).map(holder))
    expect(rename.mock.calls.length).toBeLessThanOrEqual(256)
    rename.mockRestore()
    expect([...(new LeaseIndex(path).holders(() => true)?.keys() ?? [])]).toEqual([holder("pod-0")])
    expect(readdirSync(path)).toHaveLength(1)
  })

  test("knows nothing of a bucket that cannot be read, and writes nothing in its place", () => {
    const { path } = place()
    new LeaseIndex(path).replace(three())
    const readFile = vi.spyOn(host, "readFile").mockReturnValue(-5)
    const index = new LeaseIndex(path)
    expect(index.get(holder("a"))).toBeUndefined()
    expect(index.recorded()).toEqual([])
    expect(() => index.set(holder("a"), ["10.1.2.9"])).toThrow("EIO")
    readFile.mockRestore()
    expect(read(new LeaseIndex(path), holder("a"))).toEqual(["10.1.2.2", "fd00::2"])
  })

  test("keeps its hands off files that are none of its own", () => {
    const { path } = place()
    mkdirSync(path, { recursive: true })
    for (const name of ["notes", "abc", "AB"]) writeFileSync(`${path}/${name}`, "x")
    new LeaseIndex(path).replace(three())
    new LeaseIndex(path).replace(new LeasesByHolder())
    expect(readdirSync(path).sort()).toEqual(["AB", "abc", "notes"])
  })

  test.each(["", "\0".repeat(60), "cni-ts lease index 1\n", 'cni-ts lease index 2\n"a'])(
    "knows that a bucket is damaged that says %j",
    (text) => {
      const { path } = place()
      new LeaseIndex(path).replace(three())
      for (const name of readdirSync(path)) writeFileSync(`${path}/${name}`, text)
      expect(new LeaseIndex(path).get(holder("a"))).toBeUndefined()
      new LeaseIndex(path).replace(three())
      expect(read(new LeaseIndex(path), holder("a"))).toEqual(["10.1.2.2", "fd00::2"])
    },
  )

  test("writes nothing that a leftover scratch file leads to", () => {
    const { path } = place()
    mkdirSync(path, { recursive: true })
    const victim = `${path}/../victim`
    writeFileSync(victim, "precious")
    symlinkSync(victim, `${path}/scratch`)
    new LeaseIndex(path).replace(three())
    expect(readFileSync(victim, "utf8")).toBe("precious")
  })
})

describe("the mark", () => {
  test("makes an index current until anybody changes the leases, or the index", () => {
    for (const changed of ["leases", "path"] as const) {
      const where = place()
      const index = new LeaseIndex(where.path)
      index.replace(three())
      expect(index.isCurrent(where.leases)).toBe(false)
      index.mark(where.leases)
      expect(new LeaseIndex(where.path).isCurrent(where.leases)).toBe(true)
      writeFileSync(`${where[changed]}/x`, "")
      expect(new LeaseIndex(where.path).isCurrent(where.leases)).toBe(false)
    }
  })

  test("is another each time, so that a backup of either directory is not believed", () => {
    const { path, leases } = place()
    const index = new LeaseIndex(path)
    index.replace(three())
    const marks = Array.from({ length: 20 }, () => {
      index.mark(leases)
      return statSync(leases).mtimeMs
    })
    expect(new Set(marks).size).toBeGreaterThan(18)
  })

  test.each([0, 1, 1_763_950_000, 1 << 28])("is not the time %i, which a clock may show", (seconds) => {
    const { path, leases } = place()
    const index = new LeaseIndex(path)
    index.replace(three())
    for (const directory of [path, leases]) utimesSync(directory, seconds, seconds)
    expect(index.isCurrent(leases)).toBe(false)
  })

  test("is none without an index", () => {
    const { path, leases } = place()
    expect(new LeaseIndex(path).isCurrent(leases)).toBe(false)
    expect(new LeaseIndex(path).recorded()).toEqual([])
  })
})

test.each([".cni-ts", ".cni-ts/net"])("an index is not made where a symbolic link %s leads", (name) => {
  const { path, leases } = place()
  const victim = `${leases}/../victim`
  mkdirSync(`${victim}/net`, { recursive: true })
  for (const file of ["ab", "net/ab"]) writeFileSync(`${victim}/${file}`, "x")
  if (name !== ".cni-ts") mkdirSync(`${leases}/../.cni-ts`)
  symlinkSync(victim, `${leases}/../${name}`)
  const index = new LeaseIndex(path)
  expect(() => index.replace(three())).toThrow("ENOTDIR")
  expect(readdirSync(victim, { recursive: true }).sort()).toEqual(["ab", "net", "net/ab"])
})
