import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { basename, dirname } from "node:path"
import { expect, test } from "vitest"
import { scratchDirectory } from "../../testing/scratch.ts"
import type { Ended } from "../host.ts"
import { nodeHost as host } from "./host.ts"

const { EFBIG, ENOENT, ENOEXEC, EACCES, EINVAL } = constants.errno

const LONG = 60_000
const PATH = `PATH=${process.env["PATH"]}`
const nothing = new Uint8Array(0)

/** Makes an executable that the shell runs. */
function programOf(script: string, start = "#!/bin/sh\n"): string {
  const path = `${scratchDirectory()}/program`
  writeFileSync(path, `${start}${script}\n`)
  chmodSync(path, 0o755)
  return path
}

interface Call {
  readonly environment?: readonly string[]
  readonly stdin?: Uint8Array
  readonly milliseconds?: number
}

function ended(path: string, { environment = [PATH], stdin = nothing, milliseconds = LONG }: Call = {}) {
  const outcome = host.spawn(path, environment, stdin, milliseconds)
  if (typeof outcome === "number") throw new Error(`${outcome}`)
  return { ...outcome, stdout: host.decode(outcome.stdout), stderr: host.decode(outcome.stderr) }
}

test("spawn tells how it ended and what it wrote", () => {
  expect(ended(programOf("cat; echo oops >&2; exit 3"), { stdin: host.encode("in\0put") })).toEqual({
    exitCode: 3,
    signal: undefined,
    timedOut: false,
    stdout: "in\0put",
    stderr: "oops\n",
  })
})

test("the path is the only argument", () => {
  const path = programOf(`tr '\\0' '|' < /proc/$$/cmdline`)
  expect(ended(path).stdout).toBe(`/bin/sh|${path}|`)
})

test("the environment is what is given", () => {
  const variables = ["A=1=2", "B=", `C=é${"x".repeat(1000)}`]
  expect(ended("/usr/bin/env", { environment: variables }).stdout.trim().split("\n")).toEqual(variables)
})

test("a signal is told by its number", () => {
  expect(ended(programOf("kill -TERM $$"))).toMatchObject({ exitCode: undefined, signal: 15, timedOut: false })
})

test("the session is one of its own, and SIGPIPE ends a program as it should", () => {
  const { stdout } = ended(
    programOf("cut -d' ' -f1,5,6 /proc/self/stat; grep -E 'SigIgn|SigBlk' /proc/self/status; echo $$"),
  )
  const [ids = "", ...rest] = stdout.trim().split("\n")
  const [, group, session] = ids.split(" ")
  expect(rest).toEqual(["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", session])
  expect(group).toBe(session)
})

test("megabytes go in and out, whether or not all is read", () => {
  const megabytes = new Uint8Array(3 << 20).fill(65)
  expect(ended("/bin/cat", { stdin: megabytes }).stdout.length).toBe(megabytes.length)
  expect(ended(programOf("exec true"), { stdin: megabytes })).toMatchObject({ exitCode: 0, timedOut: false })
})

test("what takes too long is killed with all that it started, and what it wrote is kept", async () => {
  const path = programOf("sleep 600 & echo $!; sleep 600")
  const outcome = ended(path, { milliseconds: 500 })
  expect(outcome).toMatchObject({ exitCode: undefined, signal: 9, timedOut: true })
  expect(outcome.stdout).toMatch(/^\d+\n$/)
  await expect.poll(() => isRunning(outcome.stdout.trim())).toBe(false)
})

test("what it started and left behind with its stdout is waited for, and killed in the end", async () => {
  const outcome = ended(programOf("sleep 600 & echo $!"), { milliseconds: 500 })
  expect(outcome).toMatchObject({ exitCode: 0, timedOut: true })
  await expect.poll(() => isRunning(outcome.stdout.trim())).toBe(false)
})

/** A process that has been killed may still wait for init to notice. */
function isRunning(pid: string): boolean {
  if (!existsSync(`/proc/${pid}`)) return false
  return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
}

test("more output than anybody can want is EFBIG, and ends it", async () => {
  const pid = `${scratchDirectory()}/pid`
  const path = programOf(`echo $$ > ${pid}; head -c 20000000 /dev/zero; sleep 600`)
  expect(host.spawn(path, [PATH], nothing, LONG)).toBe(-EFBIG)
  await expect.poll(() => isRunning(readFileSync(pid, "utf8").trim())).toBe(false)
})

test("what cannot be started says why", () => {
  const path = programOf("true")
  const start = (file: string): Ended | number => host.spawn(file, [PATH], nothing, LONG)
  expect(start(`${path}-none`)).toBe(-ENOENT)
  expect(start(dirname(path))).toBe(-EACCES)
  expect(start(`${path}\0`)).toBe(-EINVAL)
  expect(host.spawn(path, ["A=\0"], nothing, LONG)).toBe(-EINVAL)
  chmodSync(path, 0o644)
  expect(start(path)).toBe(-EACCES)
  expect(start(programOf("true", ""))).toBe(-ENOEXEC)
  expect(start(programOf("true", "#!/no/such/interpreter\n"))).toBe(-ENOENT)
})

test("a name without a slash is not looked for in PATH", () => {
  const path = programOf("true")
  expect(host.spawn(basename(path), [`PATH=${dirname(path)}`], nothing, LONG)).toBe(-ENOENT)
})
