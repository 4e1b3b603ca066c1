import { execFileSync } from "node:child_process"
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { afterEach, describe, expect, test, vi } from "vitest"
import { type Address, formatAddress, parseAddress } from "../../../lib/ip/address.ts"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import { host } from "../../../lib/sys/host.ts"
import { lockFile } from "../../../lib/sys/lock.ts"
import { scratchDirectory } from "../../../lib/testing/scratch.ts"
import type { LeasePlace } from "../config.ts"
import { leaseDirectory } from "./lease-directory.ts"
import { legacyOwnerOf, type Owner, ownerOf } from "./lease-holder.ts"
import { LeaseStore, openExistingLeases, openLeases } from "./lease-store.ts"

const address = (text: string) => parseAddress(text) as Address
const owner = (containerId: string) => ownerOf({ containerId, ifname: "eth0" })

/** A network without leases, in a directory that goes when the test ends. */
function network(): LeasePlace & { directory: string; index: string } {
  const place = { dataDir: scratchDirectory(), network: "net" }
  return { ...place, directory: leaseDirectory(place), index: `${place.dataDir}/.cni-ts/net` }
}

/** Does it in a process of its own, as far as the lease files can tell. */
function inStore<Value>(place: LeasePlace, action: (store: LeaseStore) => Value): Value {
  using store = openLeases(place)
  return action(store)
}

/** As `inStore`, but the process is killed before it has closed its leases: the kernel drops its lock. */
function killedInStore(place: LeasePlace, action: (store: LeaseStore) => void): void {
  mkdirSync(leaseDirectory(place), { recursive: true })
  using lock = lockFile(`${leaseDirectory(place)}/lock`, 0o750)
  action(new LeaseStore(place, lock))
}

function lease(place: LeasePlace, whose: Owner, ...texts: string[]): boolean[] {
  return inStore(place, (store) => {
    const taken = texts.map((text) => store.take(address(text), whose))
    store.keep(whose, undefined)
    return taken
  })
}

const held = (place: LeasePlace, whose: Owner) =>
  inStore(place, (store) => store.addressesOf(whose).map(formatAddress).sort())

/** Puts a file where leases are, as somebody else would. */
function put(place: LeasePlace, name: string, content: string): void {
  mkdirSync(leaseDirectory(place), { recursive: true })
  writeFileSync(`${leaseDirectory(place)}/${name}`, content)
}

describe("a lease", () => {
  test("is a file of the Go plugin's: its name the address, its content the owner", () => {
    const place = network()
    expect(lease(place, owner("a"), "10.1.2.3", "fd00::3")).toEqual([true, true])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "fd00::3", "lock"])
    expect(readFileSync(`${place.directory}/10.1.2.3`, "utf8")).toBe("a\r\neth0")
    expect(statSync(`${place.directory}/10.1.2.3`)).toMatchObject({ mode: 0o100600, nlink: 2 })
    expect(held(place, owner("a"))).toEqual(["10.1.2.3", "fd00::3"])
  })

  test("is not given twice", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    expect(lease(place, owner("b"), "10.1.2.3", "10.1.2.4")).toEqual([false, true])
    expect(inStore(place, (store) => store.holderOf(address("10.1.2.3")))).toBe(owner("a"))
    expect(held(place, owner("b"))).toEqual(["10.1.2.4"])
  })

  test("that was taken and not kept is given back, and nothing else lies about", () => {
    const place = network()
    inStore(place, (store) => expect(store.take(address("10.1.2.3"), owner("a"))).toBe(true))
    expect(readdirSync(place.directory)).toEqual(["lock"])
    expect(held(place, owner("a"))).toEqual([])
  })

  test("comes on top of what the owner had", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    lease(place, owner("a"), "10.1.2.4")
    expect(held(place, owner("a"))).toEqual(["10.1.2.3", "10.1.2.4"])
  })

  test("is freed with all others of its owner, and of nobody else", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3", "fd00::3")
    lease(place, owner("ab"), "10.1.2.4")
    lease(place, legacyOwnerOf({ containerId: "a" }), "10.1.2.5")
    expect(inStore(place, (store) => store.free(owner("a")))).toBe(true)
    expect(inStore(place, (store) => store.free(owner("a")))).toBe(false)
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
    for (let at = 1; at <= 17; at++) expect(store.take(address(`10.1.2.${at}`), owner("a"))).toBe(false)
    expect(store.runsLow([range("10.1.2.35")])).toBe(true)
    expect(store.runsLow([range("10.1.2.40")])).toBe(false)
  })
})

describe("the hint where to look next", () => {
  test("is written in place, never empty, and a shorter one leaves nothing of a longer one", () => {
    const place = network()
    const path = `${place.directory}/last_reserved_ip.0`
    inStore(place, (store) => store.setLastReserved(0, address("10.1.2.200")))
    const { ino } = statSync(path)
    inStore(place, (store) => store.setLastReserved(0, address("10.1.2.3")))
    expect(readFileSync(path, "utf8")).toBe("10.1.2.3")
    expect(statSync(path)).toMatchObject({ ino, mode: 0o100600 })
    expect(inStore(place, (store) => store.lastReserved(0))).toEqual(address("10.1.2.3"))
    expect(inStore(place, (store) => store.lastReserved(1))).toBeUndefined()
  })

  test.each(["", "\0\0\0", "nonsense", "10.1.2.3/24"])("is none if the file says %j", (text) => {
    const place = network()
    put(place, "last_reserved_ip.0", text)
    expect(inStore(place, (store) => store.lastReserved(0))).toBeUndefined()
  })

  test("replaces a symbolic link, a pipe or another name of a lease, and does not write to them", () => {
    const place = network()
    const victim = `${place.dataDir}/victim`
    writeFileSync(victim, "precious")
    mkdirSync(place.directory)
    symlinkSync(victim, `${place.directory}/last_reserved_ip.0`)
    execFileSync("mkfifo", [`${place.directory}/last_reserved_ip.1`])
    inStore(place, (store) => {
      for (const set of [0, 1]) store.setLastReserved(set, address("10.1.2.3"))
    })
    expect(readFileSync(victim, "utf8")).toBe("precious")
    for (const set of [0, 1]) expect(lstatSync(`${place.directory}/last_reserved_ip.${set}`).isFile()).toBe(true)
  })
})

describe("what a crash or somebody else left", () => {
  test.each(["", "\0\0\0\0", "\r\n"])(
    "under an address is garbage if it is %j: the address is free again",
    (content) => {
      const place = network()
      put(place, "10.1.2.3", content)
      expect(lease(place, owner("a"), "10.1.2.3")).toEqual([true])
    },
  )

  test("under an address, if it is anything else, reserves it, and stays", () => {
    const place = network()
    put(place, "10.1.2.2", "do not use: printer")
    put(place, "10.1.2.3", "x".repeat(2 << 20))
    mkdirSync(`${place.directory}/10.1.2.4`)
    symlinkSync("/etc/hostname", `${place.directory}/10.1.2.5`)
    symlinkSync("nowhere", `${place.directory}/10.1.2.6`)
    execFileSync("mkfifo", [`${place.directory}/10.1.2.7`])
    const texts = ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6", "10.1.2.7"]
    expect(lease(place, owner("a"), ...texts)).toEqual(texts.map(() => false))
    expect(readdirSync(place.directory).sort()).toEqual([...texts, "lock"])
  })

  test("under other names is nobody's lease", () => {
    const place = network()
    for (const name of ["010.1.2.3", "fd00:0::3", "FD00::4", "notes"]) put(place, name, "a\r\neth0")
    expect(held(place, owner("a"))).toEqual([])
    expect(readdirSync(place.directory)).toHaveLength(5)
  })

  test("as the scratch file is removed, not written to: it may be a second name of a lease", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    linkSync(`${place.directory}/10.1.2.3`, `${place.directory}/.lease.tmp`)
    lease(place, owner("b"), "10.1.2.4")
    expect(readFileSync(`${place.directory}/10.1.2.3`, "utf8")).toBe("a\r\neth0")
    expect(readFileSync(`${place.directory}/10.1.2.4`, "utf8")).toBe("b\r\neth0")
    expect(existsSync(`${place.directory}/.lease.tmp`)).toBe(false)
  })

  test("after a killed ADD is found by its owner, and what lies about is cleared away", () => {
    const place = network()
    lease(place, owner("other"), "10.1.2.2")
    killedInStore(place, (store) => void store.take(address("10.1.2.3"), owner("a")))
    expect(readdirSync(place.directory)).toContain(".lease.tmp")
    expect(held(place, owner("a"))).toEqual(["10.1.2.3"])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.2", "10.1.2.3", "lock"])
  })

  test("after a killed DEL, which is nothing, is known to be free", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3", "fd00::3")
    killedInStore(place, (store) => void store.free(owner("a")))
    expect(held(place, owner("a"))).toEqual([])
    expect(lease(place, owner("b"), "10.1.2.3", "fd00::3")).toEqual([true, true])
  })

  test("behind our back, as the Go plugin does, is found", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    lease(place, owner("b"), "10.1.2.4")
    rmSync(`${place.directory}/10.1.2.3`)
    put(place, "10.1.2.9", "a\r\neth0")
    expect(held(place, owner("a"))).toEqual(["10.1.2.9"])
    expect(held(place, owner("b"))).toEqual(["10.1.2.4"])
  })
})

describe("GC", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Frees the leases of all but `valid`; returns what was freed, and what failed. */
  function collect(
    place: LeasePlace,
    ...valid: Owner[]
  ): { told: Record<Owner, readonly string[]>; failed: unknown[] } {
    const [told, failed]: [Record<Owner, readonly string[]>, unknown[]] = [{}, []]
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

  test("frees all leases of owners that are not valid, tells of them, and leaves the others and reservations", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3", "fd00::3")
    lease(place, owner("b"), "10.1.2.4")
    put(place, "10.1.2.9", "do not use: printer")
    expect(collect(place, owner("b"), "do not use: printer" as Owner)).toEqual({
      told: { [owner("a")]: ["10.1.2.3", "fd00::3"] },
      failed: [],
    })
    expect([held(place, owner("a")), held(place, owner("b"))]).toEqual([[], ["10.1.2.4"]])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.4", "10.1.2.9", "lock"])
    expect(collect(place, owner("b"), "do not use: printer" as Owner).told).toEqual({})
  })

  test("frees what the Go plugin leased, and not what it has leased to another since", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3", "10.1.2.4")
    rmSync(`${place.directory}/10.1.2.3`) // its file may be that of another lease, too
    put(place, "10.1.2.3", "b\r\neth0")
    put(place, "10.1.2.5", "gone\r\neth0")
    expect(collect(place, owner("b")).told).toEqual({ [owner("a")]: ["10.1.2.4"], [owner("gone")]: ["10.1.2.5"] })
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "lock"])
  })

  test("goes on after a lease that cannot be removed, which stays its owner's", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3", "10.1.2.4")
    lease(place, owner("b"), "10.1.2.5")
    const { unlink } = host
    vi.spyOn(host, "unlink").mockImplementation((path) => (path.endsWith("/10.1.2.3") ? -5 : unlink(path)))
    const { told, failed } = collect(place)
    expect(told).toEqual({ [owner("a")]: ["10.1.2.4"], [owner("b")]: ["10.1.2.5"] })
    expect(failed).toEqual([expect.objectContaining({ errno: "EIO" })])
    expect(held(place, owner("a"))).toEqual(["10.1.2.3"])
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
    lease(place, owner("a"), "10.1.2.3")
    put(place, "10.1.2.9", "go\r\neth0") // by somebody else: the index is outdated
    unreadable("10.1.2.3", -errno)
    expect(() => held(place, owner("b"))).toThrow("10.1.2.3")
    expect(() => inStore(place, (store) => store.free(owner("a")))).toThrow("10.1.2.3")
    vi.restoreAllMocks()
    expect(held(place, owner("a"))).toEqual(["10.1.2.3"])
  })

  test("keeps an ADD beside it from having an address that it could not note", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    unreadable("10.1.2.3", -5)
    expect(() => lease(place, owner("a"), "10.1.2.4")).toThrow("10.1.2.3")
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "lock"])
  })
})

describe("the index", () => {
  const damages: [string, (place: ReturnType<typeof network>) => void][] = [
    ["removed", ({ index }) => rmSync(index, { recursive: true })],
    ["emptied", ({ index }) => eachPart(index, "")],
    ["full of zeros as by a power cut, which keeps times", ({ index }) => keepingTimes(index, "\0".repeat(60))],
    ["wrong", ({ index }) => keepingTimes(index, 'cni-ts lease index 2\n"a\\r\\neth0" 10.1.2.77\n')],
    ["nonsense", ({ index }) => keepingTimes(index, 'cni-ts lease index 2\n"a\\r\\neth0" nonsense\n')],
    [
      "a file",
      ({ index }) => {
        rmSync(index, { recursive: true })
        writeFileSync(index, "")
      },
    ],
  ]

  test.each(damages)("may be %s: leases are found all the same", (_, harm) => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    lease(place, owner("b"), "10.1.2.4")
    harm(place)
    expect(held(place, owner("a"))).toEqual(["10.1.2.3"])
    harm(place)
    expect(inStore(place, (store) => store.free(owner("a")))).toBe(true)
    expect(held(place, owner("b"))).toEqual(["10.1.2.4"])
  })

  test("bears the mark of the leases once they are closed, and reading changes neither", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    const marks = () => [place.index, place.directory].map((path) => statSync(path).mtimeMs)
    const [mark, same] = marks()
    expect(same).toBe(mark)
    expect(new Date(mark ?? 0).getUTCFullYear()).toBeLessThan(1980)
    held(place, owner("a"))
    expect(marks()).toEqual([mark, mark])
  })

  test("spares reading the leases of others", () => {
    const place = network()
    lease(place, owner("a"), "10.1.2.3")
    lease(place, owner("b"), "10.1.2.4")
    const hidden = `${place.directory}/10.1.2.4`
    const { atime, mtime } = statSync(place.directory)
    rmSync(hidden)
    utimesSync(place.directory, atime, mtime) // as if nobody had changed anything
    inStore(place, (store) => expect(store.addressesOf(owner("a")).map(formatAddress)).toEqual(["10.1.2.3"]))
    expect(readFileSync(`${place.index}/${readdirSync(place.index).sort()[0]}`, "utf8")).toContain("cni-ts lease index")
    expect(statSync(place.directory).mtimeMs).toBe(mtime.getTime())
  })

  function eachPart(index: string, text: string): void {
    for (const name of readdirSync(index)) writeFileSync(`${index}/${name}`, text)
  }

  function keepingTimes(index: string, text: string): void {
    if (!lstatSync(index).isDirectory()) return
    const { atime, mtime } = statSync(index)
    eachPart(index, text)
    utimesSync(index, atime, mtime)
  }
})
