import { readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { output } from "./run.ts"

/** All that a test run must leave as it found it, in the machine's own namespaces. */
interface Machine {
  readonly links: readonly string[]
  readonly namespaces: readonly string[]
  readonly mounts: readonly string[]
  readonly rules: readonly string[]
  readonly directories: readonly string[]
  readonly cgroups: readonly string[]
  readonly processes: readonly string[]
}

const RUN = String(process.pid)
const NAMED = "/run/netns"
let before: Machine | undefined

/** Vitest calls this before the first conformance test, and `teardown` after the last. */
export function setup(): void {
  Object.assign(process.env, { CNITS_RUN: RUN })
  before = readMachine()
  // An interrupted run has no teardown, and the exit listener of Vitest ends the process before later ones.
  process.prependOnceListener("exit", removeStray)
}

/** Fails the run if it left anything behind. */
export function teardown(): void {
  if (!before) return
  // The first `ip netns add` on a machine makes its directory a mount point.
  const isNew = !before.mounts.some(isNamedMount) && mounts().some(isNamedMount)
  if (isNew && list(NAMED).length === 0) output(["umount", NAMED])
  const after = readMachine()
  const changes = compare(before, after)
  if (changes.length > 0)
    throw new Error(`the tests, or somebody else meanwhile, changed this machine:\n${changes.join("\n")}`)
}

function removeStray(): void {
  const stray = (name: string) => name.startsWith(`cnits-${RUN}-`)
  for (const name of list(NAMED).filter(stray)) output(["ip", "netns", "del", name])
  for (const name of list(tmpdir()).filter(stray)) rmSync(join(tmpdir(), name), { recursive: true })
}

function readMachine(): Machine {
  return {
    links: lines(output(["ip", "-o", "link"])).map((line) => line.split(": ").slice(0, 2).join(": ")),
    namespaces: list(NAMED).filter(isOurs),
    mounts: mounts(),
    rules: lines(output(["nft", "-s", "list", "ruleset"])),
    directories: list(tmpdir()).filter((name) => name.startsWith("cnits-") && isOurs(name)),
    cgroups: cgroups(),
    processes: strayProcesses(),
  }
}

function mounts(): string[] {
  return lines(readFileSync("/proc/self/mounts", "utf8")).filter(isOurs)
}

/** Other runs may be under way on this machine: what bears their name is theirs. */
function isOurs(text: string): boolean {
  const named = /cnits-(\d+)-/.exec(text)
  return named === null ? !text.includes("cnits-") : named[1] === RUN
}

/** Directly below a hierarchy's root, of which the first version of control groups has several. */
function cgroups(): string[] {
  const root = "/sys/fs/cgroup"
  const groups = list(root).flatMap((name) => [name, ...list(join(root, name)).map((inner) => `${name}/${inner}`)])
  return groups.filter((name) => name.includes("cnits-") && isOurs(name))
}

/** Those that a test started and did not end: of our process group, but no longer our descendants. */
function strayProcesses(): string[] {
  const table = list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap(readProcess)
  const own = new Set([RUN])
  for (let size = 0; size < own.size; ) {
    size = own.size
    for (const process of table) if (own.has(process.parent)) own.add(process.pid)
  }
  const group = table.find((process) => process.pid === RUN)?.group
  return table
    .filter((process) => process.group === group && !own.has(process.pid))
    .map(({ pid, name }) => `${pid} ${name}`)
}

/** Not one that has ended, of which only the exit code waits until some init asks for it. */
function readProcess(pid: string): { pid: string; name: string; parent: string; group: string }[] {
  try {
    const [, name = "", parent = "", group = ""] =
      /^\d+ \((.*)\) [^Z] (\d+) (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? []
    return [{ pid, name, parent, group }]
  } catch {
    return [] // it ended meanwhile
  }
}

function isNamedMount(line: string): boolean {
  return line.includes(` ${NAMED} `)
}

function compare(old: Machine, now: Machine): string[] {
  const parts = Object.keys(old) as (keyof Machine)[]
  const mayEnd = (part: keyof Machine) => part === "processes" // the test runner's own do
  return parts.flatMap((part) => [
    ...now[part].filter((entry) => !old[part].includes(entry)).map((entry) => `left behind in ${part}: ${entry}`),
    ...old[part]
      .filter((entry) => !mayEnd(part) && !now[part].includes(entry))
      .map((entry) => `gone from ${part}: ${entry}`),
  ])
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function lines(text: string): string[] {
  return text.split("\n").filter(Boolean)
}
