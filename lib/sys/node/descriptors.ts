import { constants } from "node:os"
import type { Host } from "../host.ts"
import { answerOf, answerOn, answerOnce, libc } from "./libc.ts"
import { sleep } from "./pause.ts"

const { EAGAIN, EINTR, ETIMEDOUT } = constants.errno

const O_CLOEXEC = 0o2000000
const POLLIN = 1
const POLLOUT = 4
const LOCK_EX = 2
const LOCK_NB = 4

/** Milliseconds between two tries to take a lock. */
const BETWEEN_TRIES = 5

/** Functions that open files, and that take descriptors. */
export const descriptors = {
  O_NOFOLLOW: process.arch === "arm64" ? 0o100000 : 0o400000,
  open: (path, flags, mode) => answerOn(path, (name) => libc.open(name, flags | O_CLOEXEC, mode)),
  close,
  read: (fd, buffer) => answerOf(() => libc.read(fd, buffer, buffer.length)),
  awaitInput,
  readAt: (fd, buffer, offset) => answerOf(() => libc.pread(fd, buffer, buffer.length, offset)),
  write,
  sync: (fd) => answerOf(() => libc.fdatasync(fd)),
  lock,
} satisfies Partial<Host>

/** Closes a descriptor, only once: Linux closes it even if a signal interrupts, and the number may be another file's by now. */
function close(fd: number): number {
  const answer = answerOnce(() => libc.close(fd))
  return answer === -EINTR ? 0 : answer
}

function awaitInput(fd: number, milliseconds: number): number {
  const entry = new Int32Array([fd, POLLIN]) // struct pollfd
  const waited = answerOf(() => libc.poll(entry, 1, milliseconds))
  return waited === 0 ? -ETIMEDOUT : Math.min(waited, 0)
}

function write(fd: number, bytes: Uint8Array): number {
  for (;;) {
    const answer = answerOf(() => libc.write(fd, bytes, bytes.length))
    if (answer !== -EAGAIN) return answer
    const entry = new Int32Array([fd, POLLOUT]) // struct pollfd
    const waited = answerOf(() => libc.poll(entry, 1, -1))
    if (waited < 0) return waited
  }
}

function lock(fd: number, milliseconds: number): number {
  const deadline = performance.now() + milliseconds
  for (;;) {
    const answer = answerOf(() => libc.flock(fd, LOCK_EX | LOCK_NB))
    if (answer !== -EAGAIN) return answer
    const left = deadline - performance.now()
    if (left <= 0) return -ETIMEDOUT
    sleep(Math.min(left, BETWEEN_TRIES))
  }
}
