import { type FileSystem, host } from "./host.ts"
import { checked } from "./system-error.ts"

/** Returns the answer of statfs(2) on the file system of `path`. */
function fileSystemOf(path: string): FileSystem {
  return checked(`examine ${path}`, host.fileSystem(path))
}

/** Returns the error if the file system of `path` is read-only or full, else undefined. */
export function writeObstacle(path: string): "EROFS" | "ENOSPC" | undefined {
  const ST_RDONLY = 1
  const { blocks, freeBlocks, files, freeFiles, flags } = fileSystemOf(path)
  if (flags & ST_RDONLY) return "EROFS"
  // Some file systems count neither blocks nor files.
  return (blocks && freeBlocks === 0) || (files && freeFiles === 0) ? "ENOSPC" : undefined
}

/** Magic numbers (linux/magic.h and the file systems' own) of those that one running kernel alone can have mounted. */
const LOCAL = [
  0xef53, // ext2, ext3, ext4
  0x5846_5342, // xfs
  0x9123_683e, // btrfs
  0x0102_1994, // tmpfs
  0x794c_7630, // overlay
  0xf2f5_2010, // f2fs
  0x2fc1_2fc1, // zfs
  0xca45_1a4e, // bcachefs
]

/** Returns true if no other machine can write to the file system of `path`. */
export function isLocal(path: string): boolean {
  return LOCAL.includes(fileSystemOf(path).type)
}
