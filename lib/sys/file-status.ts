import { host } from "./host.ts"
import { checked } from "./system-error.ts"

/** What identifies a file and says what it is. */
export interface FileStatus {
  /** `major:minor` */
  readonly device: string
  readonly inode: bigint
  /** The S_IF* part of the mode. */
  readonly type: number
  readonly size: number
  /** Seconds of the last modification. */
  readonly modified: bigint
  /** The rest of that time, in nanoseconds. */
  readonly nanoseconds: number
  /** Whether something is mounted at that very path; false if the kernel does not tell (before 5.8). */
  readonly isMount: boolean
}

export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000
const S_IFMT = 0o170000

/** Follows symbolic links. Throws SystemError, ENOENT if there is none. */
export function fileStatus(path: string): FileStatus {
  return statusOf(path, true)
}

/** As fileStatus, of a symbolic link itself rather than of what it leads to. */
export function linkStatus(path: string): FileStatus {
  return statusOf(path, false)
}

function statusOf(path: string, follow: boolean): FileStatus {
  const { major, minor, mode, ...rest } = checked(`examine ${path}`, host.stat(path, follow))
  return { device: `${major}:${minor}`, type: mode & S_IFMT, ...rest }
}

/** Whether two names are one file. */
export function sameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode
}
