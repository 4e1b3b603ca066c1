import { execFileSync, spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { expect, onTestFinished, test, vi } from "vitest"
import { scratchDirectory } from "../testing/scratch.ts"
import { openRead } from "./file.ts"
import { host } from "./host.ts"
import { lockFile } from "./lock.ts"

/** Has a process hold the lock until the test ends, or so many seconds; its number. */
async function held(path: string, seconds = 600): Promise<number | undefined> {
  const child = spawn("flock", ["--no-fork", path, "sh", "-c", `echo; exec sleep ${seconds}`])
  onTestFinished(() => void child.kill("SIGKILL"))
  await new Promise((resolve) => child.stdout.once("data", resolve))
  return child.pid
}

const isLocked = (path: string) => {
  try {
    execFileSync("flock", ["--nonblock", path, "true"])
    return false
  } catch {
    return true
  }
}

test("a lock makes its file, and keeps others out until it is closed", () => {
  const path = `${scratchDirectory()}/lock`
  {
    using _lock = lockFile(path, 0o640)
    expect(statSync(path).mode & 0o777).toBe(0o640)
    expect(isLocked(path)).toBe(true)
  }
  expect(isLocked(path)).toBe(false)
})

test("a lock that exists is taken as it is, and waited for", async () => {
  const path = `${scratchDirectory()}/lock`
  writeFileSync(path, "content")
  await held(path, 0.2)
  expect(isLocked(path)).toBe(true)
  using _lock = lockFile(path, 0o640)
  expect(readFileSync(path, "utf8")).toBe("content")
})

test("who waits too long is told who holds the lock, and leaves no descriptor behind", async () => {
  vi.stubEnv("CNI_TS_WAIT", "1")
  vi.resetModules() // the environment is read once
  const { lockFile } = await import("./lock.ts")
  const { TimedOut } = await import("./timed-out.ts")
  const path = `${scratchDirectory()}/lock`
  writeFileSync(path, "")
  const holder = await held(path)
  const before = readdirSync("/proc/self/fd").length
  const failure = failureOf(() => lockFile(path, 0o640))
  expect(failure).toBeInstanceOf(TimedOut)
  expect(failure).toMatchObject({
    message: `cannot lock ${path} within 1 seconds`,
    advice: `process ${holder} (sleep) holds it`,
  })
  expect(readdirSync("/proc/self/fd").length).toBe(before)
})

function failureOf(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

test("a symbolic link in the place of a lock is not followed: that would make a file elsewhere", () => {
  const directory = scratchDirectory()
  symlinkSync(`${directory}/made`, `${directory}/lock`)
  expect(() => lockFile(`${directory}/lock`, 0o640)).toThrow("ELOOP")
  expect(existsSync(`${directory}/made`)).toBe(false)
})

test("a named pipe in the place of a lock is locked, and not waited for", () => {
  const path = `${scratchDirectory()}/lock`
  execFileSync("mkfifo", [path])
  using _lock = lockFile(path, 0o640)
  using other = openRead(path)
  expect(host.lock(other.fd, 0)).toBe(-constants.errno.ETIMEDOUT)
})
