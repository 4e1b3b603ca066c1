import { call, cString, libc } from "./libc.ts"

/** What statfs(2) says of the file system that holds `path`: the words of struct statfs on 64-bit machines. */
function statfs(path: string): BigUint64Array {
  const name = cString(path)
  const words = new BigUint64Array(15)
  call(`examine ${path}`, () => libc.statfs(name, words))
  return words
}

/** Why nothing can be written to the file system that holds `path`: it is read-only or full. Undefined if it is neither. */
export function writeObstacle(path: string): "EROFS" | "ENOSPC" | undefined {
  const ST_RDONLY = 1n
  const [, , blocks, freeBlocks, , files, freeFiles, , , , flags] = statfs(path)
  if ((flags ?? 0n) & ST_RDONLY) return "EROFS"
  // Some file systems count neither blocks nor files.
  return (blocks && freeBlocks === 0n) || (files && freeFiles === 0n) ? "ENOSPC" : undefined
}

/** Magic numbers (linux/magic.h and the file systems' own) of those that one running kernel alone can have mounted. */
const LOCAL = [
  0xef53n, // ext2, ext3, ext4
  0x5846_5342n, // xfs
  0x9123_683en, // btrfs
  0x0102_1994n, // tmpfs
  0x794c_7630n, // overlay
  0xf2f5_2010n, // f2fs
  0x2fc1_2fc1n, // zfs
  0xca45_1a4en, // bcachefs
]

/** Whether the file system that holds `path` is surely this machine's alone, and not one that others write to as well. */
export function isLocal(path: string): boolean {
  const [type = 0n] = statfs(path)
  return LOCAL.includes(type)
}
