import { readdirSync, writeFileSync } from "node:fs"
import { beforeAll, expect, test } from "vitest"
import { namespaced } from "../testing/namespaced.ts"
import { scratchDirectory } from "../testing/scratch.ts"
import { isOwnNamespace, NetworkNamespace } from "./netns.ts"

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
    mounted: { mounted: true, unmounted: false },
    inhabited: { mounted: true, unmounted: false },
    unmounted: { mounted: false, unmounted: true },
    gone: { mounted: false, unmounted: false },
  })
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
