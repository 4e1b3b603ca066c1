import { host, type Status } from "./host.ts"
import { checked } from "./system-error.ts"

/** The identity, type and time of a file. */
export type FileStatus = Status

export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000

/** Returns the status of a file. Follows symbolic links. Throws SystemError, ENOENT if there is none. */
export function fileStatus(path: string): FileStatus {
  return statusOf(path, true)
}

/** Returns the status of a file, of a symbolic link itself. Throws SystemError. */
export function linkStatus(path: string): FileStatus {
  return statusOf(path, false)
}

function statusOf(path: string, follow: boolean): FileStatus {
  return checked(`examine ${path}`, host.stat(path, follow))
}

/** Returns true if both are the status of one file. */
export function sameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode
}
