/** A lock file as /proc/locks identifies it: `device` is major << 20 | minor. */
export interface LockedFile {
  readonly device: number
  readonly inode: bigint
}

/**
 * Returns the process that holds a flock(2) lock on the file, from the text of /proc/locks (proc_locks(5)), such as
 * `3: FLOCK  ADVISORY  WRITE 12345 fe:00:9989088 0 EOF`. Undefined if none is listed, or if it is in another PID namespace.
 */
export function lockHolder(locks: string, { device, inode }: LockedFile): number | undefined {
  const hex = (number: number) => number.toString(16).padStart(2, "0")
  const file = `${hex(device >>> 20)}:${hex(device & 0xfffff)}:${inode}`
  for (const line of locks.split("\n")) {
    // A process that waits has an arrow in the second place.
    const [, kind, , , pid, place] = line.trim().split(/\s+/)
    if (kind === "FLOCK" && place === file && Number(pid) > 0) return Number(pid)
  }
  return undefined
}
