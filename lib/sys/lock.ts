import { type Descriptor, openFile, openOrCreate, readText } from "./file.ts"
import { fileStatus } from "./file-status.ts"
import { host } from "./host.ts"
import { lockHolder } from "./lock-holder.ts"
import { O_NONBLOCK, O_RDONLY } from "./open-flags.ts"
import { patience } from "./patience.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"

/** A runtime gives a call two minutes or more. */
const LOCK_TIMEOUT_SECONDS = 30

/** Opens the file, creating it if need be, and locks it (`lock`). */
export function lockFile(path: string, mode: number): Descriptor {
  const file = openOrCreate(path, mode)
  try {
    lock(file.fd, path)
    return file
  } catch (error) {
    file[Symbol.dispose]()
    throw error
  }
}

/**
 * Takes flock(2)'s exclusive lock on the open file at `path`, which holds until it is closed. Waits for its holder, half a minute at
 * most; then throws TimedOut naming the holder.
 */
export function lock(fd: number, path: string): void {
  const seconds = patience(LOCK_TIMEOUT_SECONDS)
  try {
    checked(`lock ${path}`, host.lock(fd, seconds * 1000))
  } catch (error) {
    if (!failedWith(error, "ETIMEDOUT")) throw error
    throw new TimedOut(`cannot lock ${path} within ${seconds} seconds`, holderOf(path))
  }
}

/** Throws SystemError if flock(2) does not work on a file or directory that is there. Others may hold its lock. */
export function refuseUnlockable(path: string): void {
  using file = openFile(path, O_RDONLY | O_NONBLOCK | host.O_NOFOLLOW)
  try {
    checked(`lock ${path}`, host.lock(file.fd, 0))
  } catch (error) {
    if (!failedWith(error, "ETIMEDOUT")) throw error
  }
}

/** Who keeps others from the lock, as far as that can be seen. */
function holderOf(path: string): string {
  try {
    const pid = lockHolder(readText("/proc/locks"), fileStatus(path))
    if (pid === undefined) return "see /proc/locks for the process that holds it"
    return `process ${pid} (${readText(`/proc/${pid}/comm`).trim()}) holds it`
  } catch (error) {
    if (error instanceof SystemError) return "the process that holds it cannot be seen"
    throw error
  }
}
