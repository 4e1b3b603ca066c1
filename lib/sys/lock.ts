import { type Descriptor, openFile, openOrCreate, readText } from "./file.ts"
import { fileStatus } from "./file-status.ts"
import { host } from "./host.ts"
import { O_NONBLOCK, O_RDONLY } from "./open-flags.ts"
import { lockHolder } from "./proc-locks.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"
import { timeoutSeconds } from "./timeout.ts"

/** A runtime gives a call two minutes or more. */
const LOCK_TIMEOUT_SECONDS = 30

/** Opens the file, creates it if it is missing, and locks it as `lock` does. */
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
 * Takes flock(2)'s exclusive lock on the open file at `path` until the file is closed. Waits for another holder for at most half a minute,
 * then throws TimedOut that names it.
 */
export function lock(fd: number, path: string): void {
  const seconds = timeoutSeconds(LOCK_TIMEOUT_SECONDS)
  try {
    checked("lock", host.lock(fd, seconds * 1000), path)
  } catch (error) {
    if (!failedWith(error, "ETIMEDOUT")) throw error
    throw new TimedOut(`cannot lock ${path} within ${seconds} seconds`, describeHolder(path))
  }
}

/** Throws SystemError if flock(2) does not work on the file or directory. That another process holds the lock is no failure. */
export function refuseUnlockable(path: string): void {
  using file = openFile(path, O_RDONLY | O_NONBLOCK | host.O_NOFOLLOW)
  try {
    checked(`lock ${path}`, host.lock(file.fd, 0))
  } catch (error) {
    if (!failedWith(error, "ETIMEDOUT")) throw error
  }
}

/** Names the process that holds the lock, as far as this process can see it. */
function describeHolder(path: string): string {
  try {
    const pid = lockHolder(readText("/proc/locks"), fileStatus(path))
    if (pid === undefined) return "see /proc/locks for the process that holds it"
    return `process ${pid} (${readText(`/proc/${pid}/comm`).trim()}) holds it`
  } catch (error) {
    if (error instanceof SystemError) return "the process that holds it cannot be seen"
    throw error
  }
}
