import { errnoName } from "./errno.ts"
import { linkStatus, S_IFREG } from "./file-status.ts"
import { host } from "./host.ts"
import { O_CREAT, O_NONBLOCK, O_RDONLY } from "./open-flags.ts"
import { checked, failedWith, isErrno, SystemError } from "./system-error.ts"

/** An open file descriptor; close it with `using`. */
export class Descriptor implements Disposable {
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  [Symbol.dispose](): void {
    host.close(this.fd)
  }
}

/** Opens a file. `purpose` and the path complete "cannot ..." if that fails. */
export function openFile(path: string, flags: number, mode = 0, purpose = "open"): Descriptor {
  return new Descriptor(checked(purpose, host.open(path, flags, mode), path))
}

/** Opens a file to be read; does not wait, even if it is a named pipe. */
export function openRead(path: string): Descriptor {
  return openFile(path, O_RDONLY | O_NONBLOCK)
}

/**
 * Opens for reading a file that is created empty if it is missing. Does not wait, even if it is a named pipe, and follows no
 * symbolic link of that very name: ELOOP.
 */
export function openOrCreate(path: string, mode: number): Descriptor {
  return openFile(path, O_RDONLY | O_CREAT | host.O_NOFOLLOW | O_NONBLOCK, mode)
}

interface Reading {
  readonly limit?: number | undefined
  /** Called before each read, which may have to wait. */
  readonly before?: () => void
}

/** Reads from here to the end of the file; throws EFBIG if that is more than `limit` bytes. */
export function readAll(fd: number, what: string, { limit = 16 << 20, before }: Reading = {}): Uint8Array {
  let buffer = new Uint8Array(4096)
  let length = 0
  for (;;) {
    before?.()
    const count = checked("read", host.read(fd, buffer.subarray(length)), what)
    if (count === 0) return trimmed(buffer, length)
    length += count
    if (length > limit) throw new SystemError("EFBIG", `read ${what}`)
    if (length === buffer.length) buffer = enlarged(buffer)
  }
}

/** Returns the beginning of the buffer, as a copy if the rest is large, whose memory can be freed then. */
function trimmed(buffer: Uint8Array, length: number): Uint8Array {
  return length > 1 << 20 ? buffer.slice(0, length) : buffer.subarray(0, length)
}

function enlarged(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 2)
  larger.set(buffer)
  return larger
}

/** Writes all of `bytes`, waiting while the other side is slow. */
export function writeAll(fd: number, bytes: Uint8Array, what: string): void {
  for (let written = 0; written < bytes.length; ) {
    const rest = written === 0 ? bytes : bytes.subarray(written)
    written += checked("write", host.write(fd, rest), what)
  }
}

/** Returns the whole file as text; throws EFBIG if it is longer than `limit` bytes. */
export function readText(path: string, limit?: number): string {
  using file = openRead(path)
  return host.decode(readAll(file.fd, path, { limit }))
}

/** Writes to a file that exists, such as a sysctl, in one write. */
export function writeExisting(path: string, text: string): void {
  checked("write", host.writeOver(path, text), path)
}

/**
 * Makes a new file of mode 0600 with this text, on the disk before this returns if `synced`. A file with the name, such as a killed process
 * leaves, is removed first and not written to: it may have other names.
 */
export function writeNew(path: string, text: string, { synced }: { synced: boolean }): void {
  const create = () => (synced ? host.createOnDisk(path, text) : host.createFile(path, text))
  let answer = create()
  if (isErrno(answer, "EEXIST")) {
    removeFile(path)
    answer = create()
  }
  if (answer < 0) host.unlink(path)
  checked("create", answer, path)
}

/** Returns the last bytes of the file as text, at most 256; fewer if it is shorter. */
export function readEnd(path: string, length: number): string {
  return checked("read", host.readEnd(path, length), path)
}

/**
 * Replaces the content of the regular file of that very name, which is at no time empty. Returns false if there is no such file. A power
 * cut may leave a mixture of old and new text.
 */
export function overwriteRegular(path: string, text: string): boolean {
  const answer = host.replaceContent(path, text)
  if (answer === 0) return true
  if (["ENOENT", "ELOOP", "EISDIR", "ENXIO"].includes(errnoName(-answer))) return false
  throw new SystemError(errnoName(-answer), `write ${path}`)
}

/** Gives a file a second name. Returns false if that name is taken. */
export function linkFile(path: string, newName: string): boolean {
  const answer = host.link(path, newName)
  if (isErrno(answer, "EEXIST")) return false
  checked("create", answer, newName)
  return true
}

/** Renames a file, in place of one that has the new name. */
export function renameFile(path: string, newName: string): void {
  checked("replace", host.rename(path, newName), newName)
}

/** Returns the text of the file of that very name: follows no symbolic link, never waits. Throws EFBIG beyond `limit` bytes. */
export function readNamed(path: string, limit: number): string {
  return checked("read", host.readFile(path, limit), path)
}

/** As readNamed; undefined if there is no such file. */
export function readNamedIfThere(path: string, limit: number): string | undefined {
  const answer = host.readFile(path, limit)
  return isErrno(answer, "ENOENT") ? undefined : checked("read", answer, path)
}

/**
 * Returns the text of the regular file of that very name; undefined if there is none, something else bears the name (a symbolic
 * link, a directory, a pipe), or it is longer than `limit` bytes. Never waits. Throws SystemError if a regular file cannot be read.
 */
export function readRegular(path: string, limit: number): string | undefined {
  const answer = host.readFile(path, limit)
  if (typeof answer === "string") return answer
  if (isErrno(answer, "ENOENT") || isErrno(answer, "EFBIG")) return undefined
  if (unlessMissing(() => linkStatus(path))?.type !== S_IFREG) return undefined
  throw new SystemError(errnoName(-answer), `read ${path}`)
}

/** Makes the directory and its parents unless they exist; others may make them at the same time. */
export function makeDirectories(path: string, mode: number): void {
  let answer = host.mkdir(path, mode)
  const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0))
  if (isErrno(answer, "ENOENT") && parent !== "") {
    makeDirectories(parent, mode)
    answer = host.mkdir(path, mode)
  }
  if (!isErrno(answer, "EEXIST")) checked("create directory", answer, path)
}

/** Sets a file's permissions, whatever umask(2) says. */
export function setMode(path: string, mode: number): void {
  checked(`change ${path}`, host.chmod(path, mode))
}

/** Returns the content of the symbolic link. */
export function readLink(path: string): string {
  return checked("read", host.readLink(path), path)
}

/** Has the disk know of all names in the directory. */
export function syncDirectory(path: string): void {
  using directory = openRead(path)
  checked(`write ${path}`, host.sync(directory.fd))
}

/** Removes the file. Returns false if there was none. */
export function removeFile(path: string): boolean {
  const answer = host.unlink(path)
  if (isErrno(answer, "ENOENT")) return false
  checked("remove", answer, path)
  return true
}

/** Returns the value of `action`, or undefined if it fails because a name does not exist. */
export function unlessMissing<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT")) return undefined
    throw error
  }
}

/** Lists the names in a directory, in the kernel's order, without `.` and `..`. */
export function listDirectory(path: string): string[] {
  return checked(`list ${path}`, host.list(path))
}

/** Sets access and modification time to whole seconds since the epoch. */
export function setModified(path: string, seconds: bigint): void {
  checked("set the time of", host.setTimes(path, seconds), path)
}
