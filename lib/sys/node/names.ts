import { type Dir, constants as files, opendirSync, readlinkSync } from "node:fs"
import { constants } from "node:os"
import type { FileSystem, Host, Status } from "../host.ts"
import { errnoOf } from "./errno.ts"
import { answerOn, libc } from "./libc.ts"

const { EINVAL } = constants.errno

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const STATX_BASIC_STATS = 0x7ff
const STATX_ATTR_MOUNT_ROOT = 0x2000n

/** Functions that take names of files. */
export const names = {
  link: (path, newName) => answerOn(path, (from) => answerOn(newName, (to) => libc.link(from, to))),
  rename: (path, newName) => answerOn(path, (from) => answerOn(newName, (to) => libc.rename(from, to))),
  unlink: (path) => answerOn(path, (name) => libc.unlink(name)),
  mkdir: (path, mode) => answerOn(path, (name) => libc.mkdir(name, mode)),
  removeDirectory: (path) => answerOn(path, (name) => libc.rmdir(name)),
  mount: (source, path, type, flags) =>
    answerOn(source, (from) =>
      answerOn(path, (on) => answerOn(type, (kind) => libc.mount(from, on, kind, flags, null))),
    ),
  chmod: (path, mode) => answerOn(path, (name) => libc.chmod(name, mode)),
  readLink,
  list,
  stat,
  fileSystem,
  setTimes(path, seconds) {
    const times = new BigInt64Array([seconds, 0n, seconds, 0n]) // struct timespec, twice
    return answerOn(path, (name) => libc.utimensat(AT_FDCWD, name, times, 0))
  },
} satisfies Partial<Host>

/** Lists names by a Dir, because readdirSync sorts them. */
function list(path: string): string[] | number {
  if (path.includes("\0")) return -EINVAL
  try {
    const directory = opendirSync(path)
    try {
      return [...namesIn(directory)]
    } finally {
      directory.closeSync()
    }
  } catch (error) {
    return errnoOf(error)
  }
}

function readLink(path: string): string | number {
  if (path.includes("\0")) return -EINVAL
  try {
    return readlinkSync(path)
  } catch (error) {
    return errnoOf(error)
  }
}

function* namesIn(directory: Dir): Generator<string> {
  for (let entry = directory.readSync(); entry; entry = directory.readSync()) yield entry.name
}

/** Calls statx itself: node:fs tells neither the parts of a device's number nor mounts. */
function stat(path: string, follow: boolean): Status | number {
  const view = new DataView(new ArrayBuffer(256)) // struct statx
  const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW
  const answer = answerOn(path, (name) => libc.statx(AT_FDCWD, name, flags, STATX_BASIC_STATS, view.buffer))
  if (answer < 0) return answer
  const mode = view.getUint16(28, true)
  return [
    view.getUint32(136, true) * 2 ** 20 + view.getUint32(140, true),
    view.getBigUint64(32, true),
    mode & files.S_IFMT,
    mode & ~files.S_IFMT,
    Number(view.getBigUint64(40, true)),
    view.getBigInt64(112, true),
    view.getUint32(120, true),
    (view.getBigUint64(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0n,
  ]
}

/** Calls statfs itself: node:fs does not tell the flags. */
function fileSystem(path: string): FileSystem | number {
  const words = new BigUint64Array(15) // struct statfs of 64-bit machines
  const answer = answerOn(path, (name) => libc.statfs(name, words))
  if (answer < 0) return answer
  const [type, , blocks, freeBlocks, , files, freeFiles, , , , flags] = [...words].map(Number)
  return { type, blocks, freeBlocks, files, freeFiles, flags } as FileSystem
}
