import { afterEach, expect, test, vi } from "vitest"
import { nodeHost } from "../lib/sys/node/host.ts"

/** Members of the host that the executable's heap image may use: they are the same on every machine, at every time. */
const TIMELESS = [
  "encode",
  "decode",
  "formatIPv4",
  "hex",
  "parseIPv4",
  "printJson",
  "sha512",
  "writeAttributes",
  "readAttributes",
  "O_NOFOLLOW",
]

afterEach(() => vi.unstubAllGlobals())

/** Throws as soon as anything is asked of it, but for what is in `allowed`. */
function untouchable<Thing extends object>(name: string, thing: Thing, allowed: readonly PropertyKey[] = []): Thing {
  const refuse = (what: PropertyKey) => {
    throw new Error(`${name}: ${String(what)} at a module's top level, which runs when the executable is built`)
  }
  return new Proxy(thing, {
    get: (target, key) => (allowed.includes(key) ? Reflect.get(target, key) : refuse(key)),
    construct: () => refuse("new"),
    apply: () => refuse("call"),
  })
}

function stubTheWorld(): void {
  vi.stubGlobal("host", untouchable("host", nodeHost, TIMELESS))
  vi.stubGlobal("Date", untouchable("Date", Date))
  vi.stubGlobal("Math", Object.create(Math, { random: { value: untouchable("Math.random", Math.random) } }))
}

test("loading all plugins, as for the executable's heap image, asks nothing of the world", async () => {
  stubTheWorld()
  const loaded = await import("./main.ts")
  expect(loaded.main).toBeTypeOf("function")
})

test("a module that asks when it is loaded is caught", () => {
  stubTheWorld()
  for (const ask of [
    () => host.uptime(),
    () => host.environment(),
    () => host.variable("PATH"),
    () => Date.now(),
    () => new Date(),
    () => Math.random(),
  ]) {
    expect(ask).toThrow("top level")
  }
  expect(Math.max(1, host.encode("ab").length)).toBe(2)
})
declare const host: typeof nodeHost
