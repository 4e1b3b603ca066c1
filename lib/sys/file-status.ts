import { host, type Status } from "./host.ts"
import { checked } from "./system-error.ts"

export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000

/** The identity, type and time of a file. */
export class FileStatus {
  readonly #fields: Status

  constructor(fields: Status) {
    this.#fields = fields
  }

  /** The device it is on, as the kernel counts them: major << 20 | minor. */
  get device(): number {
    return this.#fields[0]
  }

  get inode(): bigint {
    return this.#fields[1]
  }

  /** The S_IF* part of the mode (inode(7)). */
  get type(): number {
    return this.#fields[2]
  }

  /** The rest of the mode, as chmod(1) writes it in octal. */
  get permissions(): number {
    return this.#fields[3]
  }

  get size(): number {
    return this.#fields[4]
  }

  /** The time of the last modification: seconds since the epoch. */
  get modified(): bigint {
    return this.#fields[5]
  }

  /** The nanoseconds of that time. */
  get nanoseconds(): number {
    return this.#fields[6]
  }

  /** True if something is mounted at that very path; false if the kernel does not tell (before 5.8). */
  get isMount(): boolean {
    return this.#fields[7]
  }
}

/** Returns the status of a file. Follows symbolic links. Throws SystemError, ENOENT if there is none. */
export function fileStatus(path: string): FileStatus {
  return new FileStatus(checked("examine", host.stat(path, true), path))
}

/** Returns the status of a file, of a symbolic link itself. Throws SystemError. */
export function linkStatus(path: string): FileStatus {
  return new FileStatus(checked("examine", host.stat(path, false), path))
}

/** Returns true if both are the status of one file. */
export function sameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode
}
