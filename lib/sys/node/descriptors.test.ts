import { execFileSync, spawn } from "node:child_process"
import { lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { expect, onTestFinished, test } from "vitest"
import { scratchDirectory } from "../../testing/scratch.ts"
import { interruptedWhile } from "../../testing/signal.ts"
import { nodeHost as host } from "./host.ts"

const { ENOENT, EBADF, EAGAIN, EEXIST, EISDIR, EINVAL, EPIPE, ELOOP, ETIMEDOUT } = constants.errno

const O_RDONLY = 0
const O_WRONLY = 1
const O_RDWR = 2
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_NONBLOCK = 0o4000

const bytes = (text: string) => new TextEncoder().encode(text)

function opened(path: string, flags: number, mode = 0): number {
  const fd = host.open(path, flags, mode)
  expect(fd).toBeGreaterThanOrEqual(0)
  onTestFinished(() => void host.close(fd))
  return fd
}

/** A file that holds `content`. */
function fileOf(content: string): string {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, content)
  return path
}

test("open creates a file of that mode, and only where it may", () => {
  const path = `${scratchDirectory()}/new`
  expect(host.open(path, O_WRONLY, 0)).toBe(-ENOENT)
  opened(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(host.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)).toBe(-EEXIST)
})

test("open closes the descriptor in programs that are started", () => {
  const fd = opened(fileOf(""), O_RDONLY)
  const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1]
  expect(Number.parseInt(flags ?? "", 8) & 0o2000000).toBe(0o2000000)
})

test("a path that holds a NUL byte is EINVAL, and what stands before it is left alone", () => {
  const path = `${scratchDirectory()}/cut`
  expect(host.open(`${path}\0short`, O_WRONLY | O_CREAT, 0o600)).toBe(-EINVAL)
  expect(host.open(path, O_RDONLY, 0)).toBe(-ENOENT)
})

test("a path is UTF-8", () => {
  const path = `${scratchDirectory()}/é漢😀`
  opened(path, O_WRONLY | O_CREAT, 0o600)
  expect(statSync(path).isFile()).toBe(true)
})

test("O_NOFOLLOW refuses a symbolic link", () => {
  const path = fileOf("")
  symlinkSync(path, `${path}-link`)
  expect(lstatSync(`${path}-link`).isSymbolicLink()).toBe(true)
  expect(host.open(`${path}-link`, O_RDONLY | host.O_NOFOLLOW, 0)).toBe(-ELOOP)
  opened(`${path}-link`, O_RDONLY)
})

test("close closes once", () => {
  const fd = host.open(fileOf(""), O_RDONLY, 0)
  const target = () => readlinkSync(`/proc/self/fd/${fd}`)
  expect(target()).toContain("/file")
  expect(host.close(fd)).toBe(0)
  expect(target).toThrow("ENOENT")
  expect(host.close(fd)).toBe(-EBADF)
})

test("read goes on where it stopped, into the part of a buffer that it is given, and ends with 0", () => {
  const fd = opened(fileOf("abcdef"), O_RDONLY)
  const buffer = bytes("........")
  expect(host.read(fd, buffer.subarray(1, 5))).toBe(4)
  expect(buffer).toEqual(bytes(".abcd..."))
  expect(host.read(fd, buffer.subarray(6))).toBe(2)
  expect(buffer).toEqual(bytes(".abcd.ef"))
  expect(host.read(fd, buffer)).toBe(0)
})

test("readAt reads from there, and read does not notice", () => {
  const fd = opened(fileOf("abcdef"), O_RDONLY)
  const buffer = new Uint8Array(3)
  expect(host.readAt(fd, buffer, 4)).toBe(2)
  expect(buffer).toEqual(bytes("ef\0"))
  expect(host.readAt(fd, buffer, 6)).toBe(0)
  expect(host.readAt(fd, buffer, -1)).toBe(-EINVAL)
  expect(host.read(fd, buffer)).toBe(3)
  expect(buffer).toEqual(bytes("abc"))
})

test("what cannot be read or written says why", () => {
  const directory = scratchDirectory()
  mkdirSync(`${directory}/child`)
  expect(host.read(opened(directory, O_RDONLY), new Uint8Array(1))).toBe(-EISDIR)
  expect(host.read(-1, new Uint8Array(1))).toBe(-EBADF)
  expect(host.readAt(-1, new Uint8Array(1), 0)).toBe(-EBADF)
  expect(host.write(-1, bytes("x"))).toBe(-EBADF)
  expect(host.write(opened(fileOf(""), O_RDONLY), bytes("x"))).toBe(-EBADF)
  expect(host.sync(-1)).toBe(-EBADF)
  expect(host.lock(-1, 0)).toBe(-EBADF)
})

test("write and sync make the content", () => {
  const path = fileOf("old content")
  const fd = opened(path, O_WRONLY)
  expect(host.write(fd, bytes("_new_").subarray(1, 4))).toBe(3)
  expect(host.sync(fd)).toBe(0)
  expect(readFileSync(path, "utf8")).toBe("new content")
})

/** A named pipe that is as full as it gets, open without waiting. */
function fullPipe(): { path: string; fd: number } {
  const path = `${scratchDirectory()}/pipe`
  execFileSync("mkfifo", [path])
  const fd = opened(path, O_RDWR | O_NONBLOCK)
  expect(host.write(fd, new Uint8Array(65_536))).toBe(65_536)
  return { path, fd }
}

test("write waits until the other side has read, through a signal", () => {
  const { path, fd } = fullPipe()
  interruptedWhile(`head -c 65536 ${path}`)
  expect(host.write(fd, bytes("x"))).toBe(1)
})

test("read of a pipe that is open without waiting does not wait", () => {
  const path = `${scratchDirectory()}/pipe`
  execFileSync("mkfifo", [path])
  expect(host.read(opened(path, O_RDWR | O_NONBLOCK), new Uint8Array(1))).toBe(-EAGAIN)
})

test("read waits through a signal", () => {
  const path = `${scratchDirectory()}/pipe`
  execFileSync("mkfifo", [path])
  const fd = opened(path, O_RDWR)
  interruptedWhile(`sleep 0.1; printf x > ${path}`)
  expect(host.read(fd, new Uint8Array(2))).toBe(1)
})

test("a pipe that nobody reads is EPIPE, and no signal ends the process", () => {
  const path = `${scratchDirectory()}/pipe`
  execFileSync("mkfifo", [path])
  const reader = host.open(path, O_RDONLY | O_NONBLOCK, 0)
  const writer = opened(path, O_WRONLY | O_NONBLOCK)
  host.close(reader)
  expect(host.write(writer, bytes("x"))).toBe(-EPIPE)
})

test("awaitInput waits for something to read or the end, and no longer than it may", () => {
  const path = `${scratchDirectory()}/pipe`
  execFileSync("mkfifo", [path])
  const reader = opened(path, O_RDONLY | O_NONBLOCK)
  const writer = host.open(path, O_WRONLY, 0)
  expect(host.awaitInput(reader, 20)).toBe(-ETIMEDOUT)
  host.write(writer, bytes("x"))
  expect(host.awaitInput(reader, 30_000)).toBe(0)
  expect(host.read(reader, new Uint8Array(4))).toBe(1)
  expect(host.awaitInput(reader, 0)).toBe(-ETIMEDOUT)
  host.close(writer)
  expect(host.awaitInput(reader, 30_000)).toBe(0)
  expect(host.read(reader, new Uint8Array(4))).toBe(0)
})

test("lock is exclusive until its descriptor is closed", () => {
  const path = fileOf("")
  const holder = host.open(path, O_RDONLY, 0)
  const other = opened(path, O_RDONLY)
  expect(host.lock(holder, 0)).toBe(0)
  expect(host.lock(other, 0)).toBe(-ETIMEDOUT)
  expect(host.lock(other, 20)).toBe(-ETIMEDOUT)
  host.close(holder)
  expect(host.lock(other, 0)).toBe(0)
})

test("lock waits for its holder, through a signal", async () => {
  const path = fileOf("")
  const script = `exec 9<${path}; flock 9; echo; sleep 0.3`
  const holder = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] })
  await new Promise((resolve) => holder.stdout.once("data", resolve))
  const fd = opened(path, O_RDONLY)
  expect(host.lock(fd, 0)).toBe(-ETIMEDOUT)
  interruptedWhile()
  expect(host.lock(fd, 30_000)).toBe(0)
})
