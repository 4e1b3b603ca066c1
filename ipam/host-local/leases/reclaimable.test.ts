import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { afterEach, describe, expect, test, vi } from "vitest"
import { mountNamespace, readBootId } from "../../../lib/sys/boot.ts"
import { host } from "../../../lib/sys/host.ts"
import { readLiveNamespaces } from "../../../lib/sys/live-namespaces.ts"
import { cookieOf } from "../../../lib/sys/netns.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import { address, holder, lease, network } from "../../../lib/testing/leases.ts"
import { namespaced } from "../../../lib/testing/namespaced.ts"
import type { LeasePlace } from "../config.ts"
import { leaseDirectory } from "./lease-directory.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import { openLeases } from "./lease-store.ts"
import { type NetnsIdentity, readNetnsIdentity } from "./netns-identity.ts"

vi.mock("../../../lib/sys/live-namespaces.ts", async (real) => {
  const { readLiveNamespaces, ...rest } = await real<typeof import("../../../lib/sys/live-namespaces.ts")>()
  return { ...rest, readLiveNamespaces: vi.fn(readLiveNamespaces) }
})
vi.mock("../../../lib/sys/netns.ts", async (real) => {
  const { cookieOf, ...rest } = await real<typeof import("../../../lib/sys/netns.ts")>()
  return { ...rest, cookieOf: vi.fn(cookieOf) }
})

/** A network namespace of an earlier boot. */
const before: NetnsIdentity = { boot: "00000000-1111", mounts: "1", namespace: "2@3.4", path: "/run/netns/x" }

function reclaim(place: LeasePlace, of?: LeaseHolder) {
  using store = openLeases(place)
  return store.reclaim(of).map(({ holder, names, others, reason }) => ({ holder, addresses: names, others, reason }))
}

const files = (place: LeasePlace) => readdirSync(leaseDirectory(place)).sort()

describe("the leases of an earlier boot", () => {
  test("are taken back, all of a holder's, and the reason is told", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "fd00::3"], before)
    lease(place, holder("b"), ["10.1.2.4"])
    const reason = 'its network namespace "/run/netns/x" was of an earlier boot'
    expect(reclaim(place)).toEqual([{ holder: holder("a"), addresses: ["10.1.2.3", "fd00::3"], others: [], reason }])
    expect(files(place)).toEqual(["10.1.2.4", "lock"])
    expect(reclaim(place)).toEqual([])
  })

  test("are taken back of one holder alone if only that one is asked for", () => {
    const place = network()
    for (const [id, text] of Object.entries({ a: "10.1.2.3", b: "10.1.2.4" })) lease(place, holder(id), [text], before)
    expect(reclaim(place, holder("b")).map(({ addresses }) => addresses)).toEqual([["10.1.2.4"]])
    expect(files(place)).toEqual(["10.1.2.3", "lock"])
  })

  test("are known though others changed the leases since", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], before)
    writeFileSync(`${leaseDirectory(place)}/10.1.2.9`, "go\r\neth0")
    expect(reclaim(place)).toHaveLength(1)
    expect(files(place)).toEqual(["10.1.2.9", "lock"])
  })

  test("can be leased again at once, and the holder has none left", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], before)
    using store = openLeases(place)
    expect(store.take(address("10.1.2.3"), holder("b"))).toBe(false)
    expect(store.reclaim()).toHaveLength(1)
    expect(store.addressesOf(holder("a"))).toEqual([])
    expect(store.take(address("10.1.2.3"), holder("b"))).toBe(true)
  })
})

describe("in doubt a lease stays:", () => {
  test("one that was made anew for the same holder and address", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], before)
    const path = `${leaseDirectory(place)}/10.1.2.3`
    rmSync(path)
    writeFileSync(path, "a\r\neth0")
    expect(reclaim(place)).toEqual([])
    expect(files(place)).toContain("10.1.2.3")
  })

  test("one that somebody else has written to", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], before)
    writeFileSync(`${leaseDirectory(place)}/10.1.2.3`, "b\r\neth0")
    expect(reclaim(place)).toEqual([])
  })

  test("the second of a holder's, made anew, while the first is taken back", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3", "fd00::3"], before)
    const path = `${leaseDirectory(place)}/fd00::3`
    rmSync(path)
    writeFileSync(path, "a\r\neth0")
    expect(reclaim(place)).toMatchObject([{ addresses: ["10.1.2.3"], others: ["fd00::3"] }])
    expect(files(place)).toEqual(["fd00::3", "lock"])
  })

  const now = () => ({ ...before, boot: readBootId(), mounts: `${mountNamespace().inode}`, path: "/proc/x" })
  test.each<[string, () => NetnsIdentity | undefined]>([
    ["without a known network namespace", () => undefined],
    ["of another mount namespace, where its path may lead elsewhere", () => ({ ...now(), mounts: "1" })],
    ["of a namespace that was mounted nowhere", () => ({ ...now(), namespace: "-" })],
    ["of a namespace whose directory cannot be seen", () => ({ ...now(), path: "/no/such/directory/x" })],
    ["of the namespace that this process is in", () => readNetnsIdentity("/proc/self/ns/net")],
  ])("one %s", (_, identity) => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], identity())
    expect(reclaim(place)).toEqual([])
    expect(files(place)).toEqual(["10.1.2.3", "lock"])
  })
})

describe("a lease of a namespace of this boot", () => {
  afterEach(() => {
    vi.mocked(readLiveNamespaces).mockReset()
    vi.mocked(cookieOf).mockReset()
  })

  const PATH = "/proc/x"
  test.each<[string, boolean, string, [string, string | undefined][], bigint?]>([
    ["is taken back if none of that inode lives", true, "7#1", [["8", PATH]], 1n],
    ["is taken back if a later one has its inode number", true, "7#1", [["7", PATH]], 2n],
    ["stays if it lives", false, "7#1", [["7", PATH]], 1n],
    ["stays if the living one's cookie is not told", false, "7#1", [["7", PATH]]],
    ["stays if one of that inode is mounted out of sight", false, "7#1", [["7", undefined]], 2n],
    ["stays if one of that inode lives and no cookie was noted", false, "7", [["7", PATH]], 2n],
    ["stays if one of that inode lives and an earlier build noted it", false, "7@1.2", [["7", PATH]], 2n],
    ["is taken back if an earlier build noted it and none of that inode lives", true, "7@1.2", [], 2n],
  ])("%s", (_, isGone, namespace, living, cookie) => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"], {
      boot: readBootId(),
      mounts: `${mountNamespace().inode}`,
      path: PATH,
      namespace,
    })
    vi.mocked(readLiveNamespaces).mockReturnValue(new Map(living))
    vi.mocked(cookieOf).mockReturnValue(cookie)
    expect(reclaim(place)).toHaveLength(isGone ? 1 : 0)
    expect(files(place)).toEqual(isGone ? ["lock"] : ["10.1.2.3", "lock"])
  })

  test("stays while not every process can be looked at", () => {
    const place = network()
    const here = { boot: readBootId(), mounts: `${mountNamespace().inode}`, path: PATH, namespace: "7#1" }
    lease(place, holder("a"), ["10.1.2.3"], here)
    vi.mocked(readLiveNamespaces).mockImplementation(() => {
      throw new SystemError("EACCES", "see the processes of others in /proc")
    })
    expect(reclaim(place)).toEqual([])
  })
})

describe("of two leases of an earlier boot", () => {
  const EIO = -5
  afterEach(() => {
    vi.restoreAllMocks()
  })

  function two(): LeasePlace {
    const place = network()
    for (const [id, text] of Object.entries({ a: "10.1.2.3", b: "10.1.2.4" })) lease(place, holder(id), [text], before)
    return place
  }

  test("one that cannot be read stays, and the other is taken back", () => {
    const place = two()
    const { readFile } = host
    vi.spyOn(host, "readFile").mockImplementation((path, limit) =>
      path.endsWith("/10.1.2.3") ? EIO : readFile(path, limit),
    )
    expect(reclaim(place).map(({ addresses }) => addresses)).toEqual([["10.1.2.4"]])
    expect(files(place)).toEqual(["10.1.2.3", "lock"])
  })

  test("one that cannot be removed is still its holder's, and taken back the next time", () => {
    const place = two()
    const { unlink } = host
    const spy = vi.spyOn(host, "unlink").mockImplementation((path) => (path.endsWith("/10.1.2.3") ? EIO : unlink(path)))
    const failed: unknown[] = []
    {
      using store = openLeases(place)
      const freed = store.reclaim(undefined, (step) => {
        try {
          step()
        } catch (error) {
          failed.push(error)
        }
      })
      expect(freed.map(({ names }) => names)).toEqual([["10.1.2.4"]])
    }
    spy.mockRestore()
    expect(failed).toEqual([expect.objectContaining({ errno: "EIO" })])
    expect(reclaim(place).map(({ addresses }) => addresses)).toEqual([["10.1.2.3"]])
  })
})

test.each(["/etc/hostname", "/no/such/netns", "/etc/hostname/x", ""])("%j is no network namespace", (netns) => {
  expect(readNetnsIdentity(netns)).toBeUndefined()
})

test("a lease stays as long as its namespace is mounted or a process is in it", () => {
  const gone = expect.stringMatching(/^its network namespace "\/.*" is gone$/)
  expect(namespaced("reclaiming.ts")).toEqual({ mounted: [], inhabited: [], deserted: [gone], again: [] })
})
