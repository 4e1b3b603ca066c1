import { host } from "./host.ts"
import { checked } from "./system-error.ts"

/** The identity, type and time of a file. */
export interface FileStatus {
  /** `major:minor` */
  readonly device: string
  readonly inode: bigint
  /** The S_IF* part of the mode. */
  readonly type: number
  /** Permissions, as chmod(1) writes them in octal. */
  readonly permissions: number
  readonly size: number
  /** Seconds of the last modification. */
  readonly modified: bigint
  /** The rest of that time, in nanoseconds. */
  readonly nanoseconds: number
  /** True if something is mounted at that very path; false if the kernel does not tell (before 5.8). */
  readonly isMount: boolean
}

export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000
const S_IFMT = 0o170000

/** Returns the status of a file. Follows symbolic links. Throws SystemError, ENOENT if there is none. */
export function fileStatus(path: string): FileStatus {
  return statusOf(path, true)
}

/** Returns the status of a file, of a symbolic link itself. Throws SystemError. */
export function linkStatus(path: string): FileStatus {
  return statusOf(path, false)
}

function statusOf(path: string, follow: boolean): FileStatus {
  const status = checked(`examine ${path}`, host.stat(path, follow))
  const { mode } = status
  return {
    device: `${status.major}:${status.minor}`,
    inode: status.inode,
    type: mode & S_IFMT,
    permissions: mode & ~S_IFMT,
    size: status.size,
    modified: status.modified,
    nanoseconds: status.nanoseconds,
    isMount: status.isMount,
  }
}

/** Returns true if both are the status of one file. */
export function sameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode
}
