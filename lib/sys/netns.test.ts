import { readdirSync, writeFileSync } from "node:fs"
import { beforeAll, expect, test } from "vitest"
import { namespaced } from "../testing/namespaced.ts"
import { scratchDirectory } from "../testing/scratch.ts"
import { cookieOf, isOwnNamespace, NetworkNamespace } from "./netns.ts"

let seen: Record<string, unknown> & { inode: string; places: Record<string, string> }

beforeAll(() => {
  seen = namespaced("networks.ts") as typeof seen
})

test("inside is in the namespace, and comes back whatever happens there", () => {
  const { before, ...places } = seen.places
  const other = `net:[${seen.inode}]`
  expect(places).toEqual({ inside: other, after: before, thrown: other, atLast: before })
  expect(before).not.toBe(other)
})

test("a namespace is this process's own or not, and what is none is not", () => {
  expect(seen["isOwn"]).toBe(false)
  expect(isOwnNamespace("/proc/self/ns/net")).toBe(true)
  for (const path of ["/proc/self/ns/mnt", "/etc/hostname", "/no/such/netns", "\0"])
    expect(isOwnNamespace(path)).toBe(false)
})

test("a namespace is seen to live where it is mounted, or as long as anybody is in it", () => {
  expect(seen).toMatchObject({
    mounted: "by its mount",
    inhabited: "by its mount",
    unmounted: "by a thread",
    gone: "nowhere",
  })
})

test("a namespace's cookie is its own, whatever path leads there; what is no namespace has none", () => {
  const [own, byMount, byThread] = seen["cookies"] as string[]
  expect([own, byMount]).toEqual([expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d+$/)])
  expect(byMount).not.toBe(own)
  expect(byThread).toBe(byMount)
  for (const path of ["/proc/self/ns/mnt", "/etc/hostname", "/no/such/netns"]) expect(cookieOf(path)).toBeUndefined()
})

test("what is no network namespace cannot be entered, and the process stays where it is", () => {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, "")
  const descriptors = () => readdirSync("/proc/self/fd").length
  const before = descriptors()
  for (const none of [path, "/proc/self/ns/mnt"]) {
    using namespace = new NetworkNamespace(none)
    expect(() => namespace.inside(() => "inside")).toThrow(`cannot enter network namespace ${none}: EINVAL`)
  }
  expect(() => new NetworkNamespace(`${path}-none`)).toThrow("ENOENT")
  expect(descriptors()).toBe(before)
})
