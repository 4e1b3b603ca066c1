import { CString, type Pointer } from "bun:ffi"
import { call, checked, cString, libc } from "./libc.ts"
import { O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } from "./open-flags.ts"
import { failedWith, SystemError } from "./system-error.ts"

// fcntl.h
const AT_FDCWD = -100

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** An open file descriptor; close it with `using`. */
export class Descriptor implements Disposable {
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  [Symbol.dispose](): void {
    libc.close(this.fd)
  }
}

/** Does not wait, even where it is a named pipe. */
export function openRead(path: string): Descriptor {
  const name = cString(path)
  return new Descriptor(call(`open ${path}`, () => libc.open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0)))
}

/**
 * Opens for reading a file that is created empty if it is missing. Does not wait, even where it is a named pipe, and follows no
 * symbolic link of that very name: ELOOP.
 */
export function openOrCreate(path: string, mode: number): Descriptor {
  const name = cString(path)
  const flags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
  return new Descriptor(call(`open ${path}`, () => libc.open(name, flags, mode)))
}

/** Everything from here to the end of the file, or to `limit` bytes where it throws EFBIG. */
export function readAll(fd: number, what: string, limit = 64 << 20): Uint8Array {
  let buffer = new Uint8Array(4096)
  let length = 0
  for (;;) {
    const free = buffer.subarray(length)
    const count = call(`read ${what}`, () => libc.read(fd, free, free.length))
    if (count === 0) return buffer.subarray(0, length)
    length += count
    if (length > limit) throw new SystemError("EFBIG", `read ${what}`)
    if (length === buffer.length) buffer = enlarged(buffer)
  }
}

function enlarged(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 4)
  larger.set(buffer)
  return larger
}

/** Writes all of `bytes`, waiting while the other side is slow. */
export function writeAll(fd: number, bytes: Uint8Array, what: string): void {
  for (let rest = bytes; rest.length > 0; ) {
    const part = rest
    try {
      rest = part.subarray(call(`write ${what}`, () => libc.write(fd, part, part.length)))
    } catch (error) {
      if (!failedWith(error, "EAGAIN")) throw error
      waitWritable(fd, what)
    }
  }
}

function waitWritable(fd: number, what: string): void {
  const POLLOUT = 4
  const entry = new Int32Array([fd, POLLOUT])
  call(`wait for ${what}`, () => libc.poll(entry, 1, -1))
}

function readFile(path: string, limit?: number): Uint8Array {
  using file = openRead(path)
  return readAll(file.fd, path, limit)
}

/** The whole file, to `limit` bytes where it throws EFBIG, as text. */
export function readText(path: string, limit?: number): string {
  return decoder.decode(readFile(path, limit))
}

/** Writes to a file that exists, such as a sysctl, in one write. */
export function writeExisting(path: string, text: string): void {
  const name = cString(path)
  using file = new Descriptor(call(`open ${path}`, () => libc.open(name, O_WRONLY | O_CLOEXEC, 0)))
  writeAll(file.fd, encoder.encode(text), path)
}

/**
 * Makes a new file of mode 0600 that holds `text`, on the disk before this returns if `synced`. What bears the name
 * already, such as the leftover of a killed process, loses it first and is not written to: it may have other names.
 */
export function writeNew(path: string, text: string, { synced }: { synced: boolean }): void {
  const name = cString(path)
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
  const create = () => call(`create ${path}`, () => libc.open(name, flags, 0o600))
  const replace = () => {
    removeFile(path)
    return create()
  }
  try {
    using file = new Descriptor(unlessExisting(create) ?? replace())
    writeAll(file.fd, encoder.encode(text), path)
    if (synced) call(`write ${path}`, () => libc.fdatasync(file.fd))
  } catch (error) {
    libc.unlink(name)
    throw error
  }
}

/**
 * Makes `text` the content of the regular file of that very name, which is at no time empty; false if there is no such file.
 * A power cut may leave a mixture of old and new text.
 */
export function overwriteRegular(path: string, text: string): boolean {
  const name = cString(path)
  const bytes = encoder.encode(text)
  try {
    const flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
    using file = new Descriptor(checked(`open ${path}`, libc.open(name, flags, 0)))
    writeAll(file.fd, bytes, path)
    checked(`shorten ${path}`, libc.ftruncate(file.fd, bytes.length))
    return true
  } catch (error) {
    if (failedWith(error, "ENOENT", "ELOOP", "EISDIR", "ENXIO")) return false
    throw error
  }
}

/** Gives a file a second name; false when that name is taken. */
export function linkFile(path: string, newName: string): boolean {
  const from = cString(path)
  const to = cString(newName)
  return unlessExisting(() => call(`create ${newName}`, () => libc.link(from, to))) !== undefined
}

/** Gives a file another name, taking it from the file that had it. */
export function renameFile(path: string, newName: string): void {
  const from = cString(path)
  const to = cString(newName)
  call(`replace ${newName}`, () => libc.rename(from, to))
}

/**
 * The text of the regular file of that very name; undefined if there is none, something else bears the name (a symbolic
 * link, a directory, a device), or it cannot be read or is longer than `limit` bytes. Never waits. `usual` is a size that
 * most files stay below: those cost one read.
 */
export function readRegular(path: string, limit: number, usual = 512): string | undefined {
  const name = cString(path)
  const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
  try {
    using file = new Descriptor(call(`open ${path}`, () => libc.open(name, flags, 0)))
    let length = 0
    for (let buffer = new Uint8Array(usual); length <= limit; buffer = enlarged(buffer)) {
      const free = buffer.subarray(length)
      length += call(`read ${path}`, () => libc.read(file.fd, free, free.length))
      if (length < buffer.length) return decoder.decode(buffer.subarray(0, length)) // a short read ends a regular file
    }
    return undefined
  } catch (error) {
    if (failedWith(error, "ENOENT", "ELOOP", "EISDIR", "ENXIO", "EACCES", "EIO", "EAGAIN")) return undefined
    throw error
  }
}

/** Makes the directory and its missing parents. Whatever exists is fine, also when others make it at the same time. */
export function makeDirectories(path: string, mode: number): void {
  const name = cString(path)
  const make = () => unlessExisting(() => call(`create directory ${path}`, () => libc.mkdir(name, mode)))
  try {
    make()
  } catch (error) {
    const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0))
    if (!failedWith(error, "ENOENT") || parent === "") throw error
    makeDirectories(parent, mode)
    make()
  }
}

/** Removes the name; false when there was none. */
export function removeFile(path: string): boolean {
  const name = cString(path)
  return unlessMissing(() => call(`remove ${path}`, () => libc.unlink(name))) !== undefined
}

/** The value of `action`, or undefined where it fails because a name does not exist. */
export function unlessMissing<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT")) return undefined
    throw error
  }
}

/** The value of `action`, or undefined where it fails because a name is taken. */
function unlessExisting<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "EEXIST")) return undefined
    throw error
  }
}

/** The names in a directory, in the kernel's order, without `.` and `..`. */
export function listDirectory(path: string): string[] {
  const name = cString(path)
  const NAME_OFFSET = 19 // struct dirent: ino 8, off 8, reclen 2, type 1
  const stream = libc.opendir(name)
  if (!stream) throw new SystemError(missingReason(path), `list ${path}`)
  const names: string[] = []
  try {
    for (let entry = libc.readdir(stream); entry; entry = libc.readdir(stream)) {
      const text = new CString(Number(entry) as Pointer, NAME_OFFSET).toString()
      if (text !== "." && text !== "..") names.push(text)
    }
  } finally {
    libc.closedir(stream)
  }
  return names
}

function missingReason(path: string): "ENOENT" | "ENOTDIR" {
  const found = unlessMissing(() => fileStatus(path))
  return found ? "ENOTDIR" : "ENOENT"
}

/** What identifies a file and says what it is (statx(2)). */
export interface FileStatus {
  readonly device: string
  readonly inode: bigint
  /** The S_IF* part of the mode. */
  readonly type: number
  readonly size: bigint
  /** Seconds of the last modification. */
  readonly modified: bigint
  /** The rest of that time, in nanoseconds. */
  readonly nanoseconds: number
  /** Whether something is mounted at that very path; false where the kernel does not tell (before 5.8). */
  readonly isMount: boolean
}

export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000

/** Follows symbolic links. Throws SystemError, ENOENT where there is none. */
export function fileStatus(path: string): FileStatus {
  return statusOf(path, 0)
}

/** As fileStatus, of a symbolic link itself rather than of what it leads to. */
export function linkStatus(path: string): FileStatus {
  const AT_SYMLINK_NOFOLLOW = 0x100
  return statusOf(path, AT_SYMLINK_NOFOLLOW)
}

function statusOf(path: string, flags: number): FileStatus {
  const name = cString(path)
  const STATX_BASIC_STATS = 0x7ff
  const STATX_ATTR_MOUNT_ROOT = 0x2000
  const buffer = new Uint8Array(256)
  call(`examine ${path}`, () => libc.statx(AT_FDCWD, name, flags, STATX_BASIC_STATS, buffer))
  const view = new DataView(buffer.buffer)
  return {
    device: `${view.getUint32(136, true)}:${view.getUint32(140, true)}`,
    inode: view.getBigUint64(32, true),
    type: view.getUint16(28, true) & 0o170000,
    size: view.getBigUint64(40, true),
    modified: view.getBigInt64(112, true),
    nanoseconds: view.getUint32(120, true),
    isMount: (view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  }
}

/** Whether two names are one file. */
export function sameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode
}

/** Sets access and modification time to whole seconds since the epoch. */
export function setModified(path: string, seconds: bigint): void {
  const name = cString(path)
  const times = new BigInt64Array([seconds, 0n, seconds, 0n])
  call(`set the time of ${path}`, () => libc.utimensat(AT_FDCWD, name, times, 0))
}
