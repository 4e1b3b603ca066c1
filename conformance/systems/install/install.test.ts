import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { output, runAsync } from "../../lab/run.ts"
import { Directories, plugin } from "./directories.ts"

let dirs: Directories
beforeEach(() => {
  dirs = new Directories()
  dirs.release("v1")
})
afterEach(() => dirs[Symbol.dispose]())

const BEFORE = { bridge: "go bridge", portmap: "-> portmap-of-others", "portmap-of-others": "go portmap" }
const V1 = { bridge: "v1", "host-local": "v1", portmap: "v1", "portmap-of-others": "go portmap" }
const V2 = { ...V1, bridge: "v2", "host-local": "v2", portmap: "v2" }
const REPLACED = { bridge: "go bridge", portmap: "-> portmap-of-others" }

test("every name is a file of its own, which all can execute; the plugins of others stay", () => {
  expect(dirs.install()).toMatchObject({ status: 0, stderr: "" })
  expect(dirs.plugins()).toEqual(V1)
  const files = ["bridge", "host-local", "portmap"].map((name) => statSync(join(dirs.node, name)))
  expect(new Set(files.map(({ ino }) => ino)).size).toBe(files.length)
  expect(files.map(({ mode }) => mode & 0o777)).toEqual(files.map(() => 0o755))
  expect(dirs.replaced()).toEqual(REPLACED)
})

test("uninstalling leaves the directory exactly as it was", () => {
  const before = statSync(join(dirs.node, "bridge"))
  dirs.install()
  expect(dirs.install("--uninstall")).toMatchObject({ status: 0, stderr: "" })
  expect(dirs.plugins()).toEqual(BEFORE)
  expect(readdirSync(dirs.node)).not.toContain(".cni-ts")
  const after = statSync(join(dirs.node, "bridge"))
  expect([after.ino, after.mtimeMs, after.mode]).toEqual([before.ino, before.mtimeMs, before.mode])
})

test("uninstalling what is not installed says so and changes nothing", () => {
  expect(dirs.install("--uninstall")).toMatchObject({ status: 1, stderr: expect.stringContaining("not installed") })
  expect(dirs.plugins()).toEqual(BEFORE)
})

test("an upgrade keeps what the first install replaced, and no executable of the old version", () => {
  dirs.install()
  dirs.install()
  dirs.release("v2")
  expect(dirs.install()).toMatchObject({ status: 0, stderr: "" })
  expect([dirs.plugins(), dirs.replaced()]).toEqual([V2, REPLACED])
  expect(readdirSync(join(dirs.node, ".cni-ts/executables"))).toHaveLength(1)
  dirs.install("--uninstall")
  expect(dirs.plugins()).toEqual(BEFORE)
})

test("a version with fewer plugins gives their names back", () => {
  dirs.install()
  dirs.release("v2", ["bridge"])
  dirs.install()
  expect(dirs.plugins()).toEqual({ ...BEFORE, bridge: "v2" })
})

test("what others installed over ours since is what uninstalling leaves, and what a new install keeps", () => {
  dirs.install()
  plugin(join(dirs.node, "bridge"), "newer go bridge")
  dirs.install()
  expect([dirs.plugins(), dirs.replaced()]).toEqual([V1, { ...REPLACED, bridge: "newer go bridge" }])
  plugin(join(dirs.node, "portmap"), "newest go portmap")
  expect(dirs.install("--uninstall")).toMatchObject({ status: 0, stdout: expect.stringContaining("somebody else's") })
  expect(dirs.plugins()).toEqual({ ...BEFORE, bridge: "newer go bridge", portmap: "newest go portmap" })
})

test("a plugin that was written into ours, as by cp, is that one alone, and gone after installing again", () => {
  dirs.install()
  writeFileSync(join(dirs.node, "bridge"), "a go bridge")
  expect(dirs.plugins()).toEqual({ ...V1, bridge: "a go bridge" })
  expect(dirs.install()).toMatchObject({ status: 0 })
  expect([dirs.plugins(), dirs.replaced()]).toEqual([V1, REPLACED])
  writeFileSync(join(dirs.node, "bridge"), "a go bridge")
  expect(dirs.install("--uninstall")).toMatchObject({ status: 0 })
  expect(dirs.plugins()).toEqual(BEFORE)
})

test("an executable that does not run on this node changes nothing", () => {
  const mute = `#!/nowhere/ld.so\n# cni-ts build ${"0".repeat(64)}`
  writeFileSync(join(dirs.top, "from/bin/bridge"), mute, { mode: 0o755 })
  expect(dirs.install()).toMatchObject({ status: 1, stderr: expect.stringContaining("does not run on this node") })
  expect(dirs.plugins()).toEqual(BEFORE)
  expect(readdirSync(join(dirs.node, ".cni-ts/executables"))).toEqual([])
})

test("what is not ours beside the installer is not installed: it may lie among programs of others", () => {
  for (const text of ["#!/bin/sh\n", `#!/bin/sh\n# cni-ts build ${"0".repeat(60)}`]) {
    writeFileSync(join(dirs.top, "from/bin/bridge"), text, { mode: 0o755 })
    expect(dirs.install()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("bridge is no executable of cni-ts"),
    })
    expect(existsSync(join(dirs.node, ".cni-ts"))).toBe(false)
  }
})

test("a directory that bears a plugin's name is refused before anything is changed", () => {
  mkdirSync(join(dirs.node, "host-local"))
  expect(dirs.install()).toMatchObject({ status: 1, stderr: expect.stringContaining("host-local is a directory") })
  expect(existsSync(join(dirs.node, ".cni-ts"))).toBe(false)
})

test("four at once take turns", async () => {
  const four = [1, 2, 3, 4].map(() => runAsync([join(dirs.top, "from/install"), dirs.node]))
  for (const done of await Promise.all(four)) expect(done).toMatchObject({ exitCode: 0, stderr: "" })
  expect([dirs.plugins(), dirs.replaced()]).toEqual([V1, REPLACED])
  expect(readdirSync(join(dirs.node, ".cni-ts/executables"))).toHaveLength(1)
})

test("the disk has every executable before a name changes, and the names before the installer ends", () => {
  const trace = join(dirs.top, "trace")
  const calls = "trace=fsync,fdatasync,rename,renameat,renameat2"
  output(["strace", "-f", "-y", "-qq", "-e", calls, "-o", trace, join(dirs.top, "from/install"), dirs.node])
  const lines = readFileSync(trace, "utf8").trim().split("\n")
  const renamed = lines.flatMap((line, index) => (/ rename/.test(line) ? [index] : []))
  const [first = 0, last = 0] = [renamed[0], renamed.at(-1)]
  const synced = (from: readonly string[]) => from.map((line) => / f(?:data)?sync\(\d+<(.*)>\)/.exec(line)?.[1] ?? "")
  const names = ["bridge", "cni-ts", "host-local", "portmap"]
  const executables = synced(lines.slice(0, first)).map((path) => /executables\/\w+\/(.*)/.exec(path)?.[1])
  expect(executables.filter(Boolean)).toEqual(names)
  expect(renamed).toHaveLength(names.length)
  expect(synced(lines.slice(last + 1))).toContain(dirs.node)
})

/** Has the installer killed at each of its changes, each time from what `prepare` leaves, and `judge` what is left. */
function killedEverywhere(flags: readonly string[], prepare: () => void, judge: (step: string) => void): number {
  const again = () => {
    dirs[Symbol.dispose]()
    dirs = new Directories()
    dirs.release("v1")
    prepare()
  }
  again()
  const points = dirs.points(...flags)
  for (const point of points) {
    again()
    dirs.killInstall(point, ...flags)
    judge(`${point.name} ${point.nth}`)
  }
  return points.length
}

/** Each name is whole: what it was, or what it was to become. */
function expectWhole(from: Readonly<Record<string, string>>, to: Readonly<Record<string, string>>, step: string): void {
  const now = dirs.plugins()
  for (const [name, was] of Object.entries(from))
    if (to[name]) expect([was, to[name]], `${name} after a kill at ${step}`).toContain(now[name])
  for (const name of Object.keys(now)) expect([from[name], to[name]]).toContain(now[name])
}

test("a first install that is killed anywhere leaves whole plugins, and is finished by doing it again, or taken back", () => {
  const judge = (step: string) => {
    expectWhole(BEFORE, V1, step)
    expect(dirs.install(), step).toMatchObject({ status: 0, stderr: "" })
    expect([dirs.plugins(), dirs.replaced()], step).toEqual([V1, REPLACED])
    expect(readdirSync(join(dirs.node, ".cni-ts/executables"))).toHaveLength(1)
    dirs.install("--uninstall")
    expect(dirs.plugins(), step).toEqual(BEFORE)
  }
  const takeBack = (step: string) => {
    if (existsSync(join(dirs.node, ".cni-ts"))) {
      expect(dirs.install("--uninstall"), step).toMatchObject({ status: 0, stderr: "" })
    }
    expect(dirs.plugins(), step).toEqual(BEFORE)
    expect(readdirSync(dirs.node), step).not.toContain(".cni-ts")
  }
  expect(killedEverywhere([], () => undefined, judge)).toBeGreaterThan(30)
  expect(killedEverywhere([], () => undefined, takeBack)).toBeGreaterThan(30)
})

test("an upgrade that is killed anywhere is finished by another version, or taken back by uninstalling", () => {
  const prepare = () => {
    dirs.install()
    dirs.release("v2")
  }
  const finish = (step: string) => {
    expectWhole(V1, V2, step)
    dirs.release("v1")
    expect(dirs.install(), step).toMatchObject({ status: 0, stderr: "" })
    expect([dirs.plugins(), dirs.replaced()], step).toEqual([V1, REPLACED])
  }
  const takeBack = (step: string) => {
    expect(dirs.install("--uninstall"), step).toMatchObject({ status: 0, stderr: "" })
    expect(dirs.plugins(), step).toEqual(BEFORE)
    expect(existsSync(join(dirs.node, ".cni-ts")), step).toBe(false)
  }
  expect(killedEverywhere([], prepare, finish)).toBeGreaterThan(30)
  expect(killedEverywhere([], prepare, takeBack)).toBeGreaterThan(30)
})

test("an uninstall that is killed anywhere is finished by doing it again", () => {
  const judge = (step: string) => {
    expectWhole(V1, BEFORE, step)
    if (existsSync(join(dirs.node, ".cni-ts"))) {
      expect(dirs.install("--uninstall"), step).toMatchObject({ status: 0, stderr: "" })
    }
    expect(dirs.plugins(), step).toEqual(BEFORE)
    expect(existsSync(join(dirs.node, ".cni-ts")), step).toBe(false)
  }
  expect(killedEverywhere(["--uninstall"], () => void dirs.install(), judge)).toBeGreaterThan(4)
})
