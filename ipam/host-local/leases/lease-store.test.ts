import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { afterEach, describe, expect, test, vi } from "vitest"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import { host } from "../../../lib/sys/host.ts"
import { lockFile } from "../../../lib/sys/lock.ts"
import { address, held, holder, inStore, lease, network, put } from "../../../lib/testing/leases.ts"
import type { LeasePlace } from "../config.ts"
import { leaseDirectory } from "./lease-directory.ts"
import { type LeaseHolder, legacyHolderOf } from "./lease-holder.ts"
import { LeaseStore, openExistingLeases } from "./lease-store.ts"

/** Opens the leases for an action of a process that is killed before it closes them: the kernel drops its lock. */
function killedInStore(place: LeasePlace, action: (store: LeaseStore) => void): void {
  mkdirSync(leaseDirectory(place), { recursive: true })
  using lock = lockFile(`${leaseDirectory(place)}/lock`, 0o750)
  action(new LeaseStore(place, lock))
}

describe("a lease", () => {
  test("is not given twice", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    expect(lease(place, holder("b"), ["10.1.2.3", "10.1.2.4"])).toEqual([false, true])
    expect(inStore(place, (store) => store.holderOf(address("10.1.2.3")))).toBe(holder("a"))
    expect(held(place, holder("b"))).toEqual(["10.1.2.4"])
  })

  test("that was taken and not kept is given back, and nothing else lies about", () => {
    const place = network()
    inStore(place, (store) => expect(store.take(address("10.1.2.3"), holder("a"))).toBe(true))
    expect(readdirSync(place.directory)).toEqual(["lock"])
    expect(held(place, holder("a"))).toEqual([])
  })

  test("comes on top of what the holder had", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    lease(place, holder("a"), ["10.1.2.4"])
    expect(held(place, holder("a"))).toEqual(["10.1.2.3", "10.1.2.4"])
  })

  test("is freed with all others of its holder, and of nobody else", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "fd00::3"])
    lease(place, holder("ab"), ["10.1.2.4"])
    lease(place, legacyHolderOf({ containerId: "a" }), ["10.1.2.5"])
    expect(inStore(place, (store) => store.free(holder("a")))).toBe(true)
    expect(inStore(place, (store) => store.free(holder("a")))).toBe(false)
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.4", "10.1.2.5", "lock"])
  })
})

test("without a directory there are no leases, and looking makes none", () => {
  const place = network()
  expect(openExistingLeases(place)).toBeUndefined()
  expect(readdirSync(place.dataDir)).toEqual([])
})

test("runsLow is known once many addresses have been found taken", () => {
  const place = network()
  const subnet = parsePrefix("10.1.2.0/24")
  if (!subnet) throw new Error("no prefix")
  const range = (last: string) => ({
    subnet,
    first: address("10.1.2.1"),
    last: address(last),
    gateway: address("10.1.2.254"),
  })
  for (let at = 1; at <= 20; at++) put(place, `10.1.2.${at}`, `other${at}`)
  put(place, "fd00::1", "of another family")
  inStore(place, (store) => {
    expect(store.runsLow([range("10.1.2.20")])).toBe(false)
    for (let at = 1; at <= 17; at++) expect(store.take(address(`10.1.2.${at}`), holder("a"))).toBe(false)
    expect(store.runsLow([range("10.1.2.35")])).toBe(true)
    expect(store.runsLow([range("10.1.2.40")])).toBe(false)
  })
})

describe("what a crash or somebody else left", () => {
  test("after a killed ADD is found by its holder, and what lies about is cleared away", () => {
    const place = network()
    lease(place, holder("other"), ["10.1.2.2"])
    killedInStore(place, (store) => void store.take(address("10.1.2.3"), holder("a")))
    expect(readdirSync(place.directory)).toContain(".lease.tmp")
    expect(held(place, holder("a"))).toEqual(["10.1.2.3"])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.2", "10.1.2.3", "lock"])
  })

  test("after a killed DEL, which is nothing, is known to be free", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "fd00::3"])
    killedInStore(place, (store) => void store.free(holder("a")))
    expect(held(place, holder("a"))).toEqual([])
    expect(lease(place, holder("b"), ["10.1.2.3", "fd00::3"])).toEqual([true, true])
  })

  test("behind our back, as the Go plugin does, is found", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    lease(place, holder("b"), ["10.1.2.4"])
    rmSync(`${place.directory}/10.1.2.3`)
    put(place, "10.1.2.9", "a\r\neth0")
    expect(held(place, holder("a"))).toEqual(["10.1.2.9"])
    expect(held(place, holder("b"))).toEqual(["10.1.2.4"])
  })
})

describe("GC", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Frees the leases of all but `valid`; returns what was freed, and what failed. */
  function collect(
    place: LeasePlace,
    ...valid: LeaseHolder[]
  ): { told: Record<LeaseHolder, readonly string[]>; failed: unknown[] } {
    const [told, failed]: [Record<LeaseHolder, readonly string[]>, unknown[]] = [{}, []]
    const attempt = (step: () => void) => {
      try {
        step()
      } catch (error) {
        failed.push(error)
      }
    }
    inStore(place, (store) =>
      store.freeAll(
        (whose) => !valid.includes(whose),
        (whose, names) => {
          told[whose] = names
        },
        attempt,
      ),
    )
    return { told, failed }
  }

  test("frees all leases of holders that are not valid, tells of them, and leaves the others and reservations", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "fd00::3"])
    lease(place, holder("b"), ["10.1.2.4"])
    put(place, "10.1.2.9", "do not use: printer")
    expect(collect(place, holder("b"), "do not use: printer" as LeaseHolder)).toEqual({
      told: { [holder("a")]: ["10.1.2.3", "fd00::3"] },
      failed: [],
    })
    expect([held(place, holder("a")), held(place, holder("b"))]).toEqual([[], ["10.1.2.4"]])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.4", "10.1.2.9", "lock"])
    expect(collect(place, holder("b"), "do not use: printer" as LeaseHolder).told).toEqual({})
  })

  test("frees what the Go plugin leased, and not what it has leased to another since", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "10.1.2.4"])
    rmSync(`${place.directory}/10.1.2.3`) // its file may be that of another lease, too
    put(place, "10.1.2.3", "b\r\neth0")
    put(place, "10.1.2.5", "gone\r\neth0")
    expect(collect(place, holder("b")).told).toEqual({ [holder("a")]: ["10.1.2.4"], [holder("gone")]: ["10.1.2.5"] })
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "lock"])
  })

  test("goes on after a lease that cannot be removed, which stays its holder's", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "10.1.2.4"])
    lease(place, holder("b"), ["10.1.2.5"])
    const { unlink } = host
    vi.spyOn(host, "unlink").mockImplementation((path) => (path.endsWith("/10.1.2.3") ? -5 : unlink(path)))
    const { told, failed } = collect(place)
    expect(told).toEqual({ [holder("a")]: ["10.1.2.4"], [holder("b")]: ["10.1.2.5"] })
    expect(failed).toEqual([expect.objectContaining({ errno: "EIO" })])
    expect(held(place, holder("a"))).toEqual(["10.1.2.3"])
  })
})

describe("a lease that cannot be read", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  function unreadable(name: string, errno: number): void {
    const { readFile } = host
    vi.spyOn(host, "readFile").mockImplementation((path, limit) =>
      path.endsWith(`/${name}`) ? errno : readFile(path, limit),
    )
  }

  test.each([5, 13, 116])("is not taken for none (error %i), and not forgotten for ever", (errno) => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    put(place, "10.1.2.9", "go\r\neth0") // by somebody else: the index is outdated
    unreadable("10.1.2.3", -errno)
    expect(() => held(place, holder("b"))).toThrow("10.1.2.3")
    expect(() => inStore(place, (store) => store.free(holder("a")))).toThrow("10.1.2.3")
    vi.restoreAllMocks()
    expect(held(place, holder("a"))).toEqual(["10.1.2.3"])
  })

  test("keeps an ADD beside it from having an address that it could not note", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    unreadable("10.1.2.3", -5)
    expect(() => lease(place, holder("a"), ["10.1.2.4"])).toThrow("10.1.2.3")
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "lock"])
  })
})
