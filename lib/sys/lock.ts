import { interruptedAfter } from "./alarm.ts"
import { type Descriptor, fileStatus, openOrCreate, readText } from "./file.ts"
import { checked, libc } from "./libc.ts"
import { lockHolder } from "./locks.ts"
import { patience } from "./patience.ts"
import { failedWith, SystemError } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"

const LOCK_EX = 2
const LOCK_NB = 4

/** Seconds. A runtime gives a call two minutes or more. */
const PATIENCE = 30

/**
 * Takes flock(2)'s exclusive lock on the file, creating it if need be, and keeps it until closed. Waits for its holder, half a
 * minute at most; then throws TimedOut naming the holder.
 */
export function lockFile(path: string, mode: number): Descriptor {
  const file = openOrCreate(path, mode)
  try {
    if (!tryLock(file.fd, path, LOCK_EX | LOCK_NB)) waitForLock(file.fd, path)
  } catch (error) {
    file[Symbol.dispose]()
    throw error
  }
  return file
}

/** False where another holds the lock, or the wait for it was interrupted. */
function tryLock(fd: number, path: string, operation: number): boolean {
  try {
    checked(`lock ${path}`, libc.flock(fd, operation))
    return true
  } catch (error) {
    if (failedWith(error, "EAGAIN", "EINTR")) return false
    throw error
  }
}

function waitForLock(fd: number, path: string): void {
  const seconds = patience(PATIENCE)
  const deadline = performance.now() + seconds * 1000
  interruptedAfter(seconds, () => {
    while (!tryLock(fd, path, LOCK_EX)) {
      if (performance.now() >= deadline)
        throw new TimedOut(`cannot lock ${path} within ${seconds} seconds`, holderOf(path))
    }
  })
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
