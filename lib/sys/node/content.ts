import { constants } from "node:os"
import type { Host } from "../host.ts"
import { descriptors } from "./descriptors.ts"
import { answerOf, libc } from "./libc.ts"
import { text } from "./text.ts"

const { EFBIG, EINVAL } = constants.errno

const O_WRONLY = 1
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_NONBLOCK = 0o4000
const SEEK_END = 2

const NEW = O_CREAT | O_EXCL
const EXISTING = descriptors.O_NOFOLLOW | O_NONBLOCK

/** Functions that read or write files as a whole. */
export const content = {
  readFile,
  readEnd,
  createFile: (path, written) => writeFile(path, written, NEW, () => 0),
  createOnDisk: (path, written) => writeFile(path, written, NEW, descriptors.sync),
  writeOver: (path, written) => writeFile(path, written, EXISTING, () => 0),
  replaceContent: (path, written) =>
    writeFile(path, written, EXISTING, (fd, length) => answerOf(() => libc.ftruncate(fd, length))),
} satisfies Partial<Host>

function readFile(path: string, limit: number): string | number {
  const fd = descriptors.open(path, descriptors.O_NOFOLLOW | O_NONBLOCK, 0)
  if (fd < 0) return fd
  let [buffer, length] = [new Uint8Array(4096), 0]
  try {
    for (;;) {
      const count = descriptors.read(fd, buffer.subarray(length))
      if (count < 0) return count
      length += count
      if (length > limit) return -EFBIG
      if (length < buffer.length) return text.decode(buffer.subarray(0, length))
      buffer = Buffer.concat([buffer, new Uint8Array(length)])
    }
  } finally {
    descriptors.close(fd)
  }
}

function readEnd(path: string, length: number): string | number {
  if (length < 0 || length > 256) return -EINVAL
  const fd = descriptors.open(path, O_NONBLOCK, 0)
  if (fd < 0) return fd
  try {
    const size = answerOf(() => Number(libc.lseek(fd, 0, SEEK_END)))
    if (size < 0) return size
    const end = new Uint8Array(length)
    const count = descriptors.readAt(fd, end, Math.max(0, size - length))
    return count < 0 ? count : text.decode(end.subarray(0, count))
  } finally {
    descriptors.close(fd)
  }
}

/** Writes a file from its beginning, and does to it what comes at the end. */
function writeFile(path: string, written: string, flags: number, end: (fd: number, length: number) => number): number {
  const bytes = text.encode(written)
  const fd = descriptors.open(path, O_WRONLY | flags, 0o600)
  if (fd < 0) return fd
  try {
    for (let at = 0; at < bytes.length; ) {
      const count = descriptors.write(fd, bytes.subarray(at))
      if (count < 0) return count
      at += count
    }
    return end(fd, bytes.length)
  } finally {
    descriptors.close(fd)
  }
}
