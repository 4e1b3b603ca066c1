import { dlopen, type FFIFunction, FFIType, type Pointer, read } from "bun:ffi"
import { type Errno, errnoName } from "./errno.ts"
import { SystemError } from "./system-error.ts"

/**
 * glibc's own functions, under their own names. Each costs about ten microseconds at start: add with care.
 * Buffers are passed as typed arrays, never as a stored address: the collector may move them.
 */
export const libc = open({
  __errno_location: { args: [], returns: "ptr" },
  close: { args: ["i32"], returns: "i32" },
  closedir: { args: ["ptr"], returns: "i32" },
  fdatasync: { args: ["i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  getrandom: { args: ["ptr", "u64", "u32"], returns: FFIType.i64_fast },
  link: { args: ["ptr", "ptr"], returns: "i32" },
  mkdir: { args: ["ptr", "u32"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  opendir: { args: ["ptr"], returns: "ptr" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  readdir: { args: ["ptr"], returns: "ptr" },
  recvfrom: { args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"], returns: FFIType.i64_fast },
  rename: { args: ["ptr", "ptr"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  setns: { args: ["i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  statfs: { args: ["ptr", "ptr"], returns: "i32" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  unlink: { args: ["ptr"], returns: "i32" },
  utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  _exit: { args: ["i32"], returns: "void" },
})

/** Without FFI there is no way to work, and only this to say so: one error document as the CNI specification wants it. */
function open<const Functions extends Record<string, FFIFunction>>(functions: Functions) {
  try {
    return dlopen("libc.so.6", functions).symbols
  } catch (error) {
    const msg = `cannot call the C library: ${error instanceof Error ? error.message : error}`
    const details = "the process must be allowed to make memory executable (no MemoryDenyWriteExecute, no ulimit -v)"
    console.log(JSON.stringify({ code: 100, msg, details }, null, 4))
    process.exit(1)
  }
}

/** Where this thread's errno stands; the address never changes. */
let errnoAt: Pointer | undefined

function lastErrno(): Errno {
  errnoAt ??= Number(libc.__errno_location()) as Pointer
  return errnoName(read.i32(errnoAt))
}

/**
 * A system call's answer; where it is -1, throws a SystemError whose sentence "cannot ..." `asked` completes.
 * `asked` comes first so that it is made before the call: nothing may come between the call and reading errno.
 */
export function checked(asked: string, answer: number | bigint): number {
  if (Number(answer) === -1) throw new SystemError(lastErrno(), asked)
  return Number(answer)
}

/** As `checked`, for a call that waits and may be interrupted by a signal: it is made again. */
export function call(asked: string, attempt: () => number | bigint): number {
  for (;;) {
    const answer = Number(attempt())
    if (answer !== -1) return answer
    const errno = lastErrno()
    if (errno !== "EINTR") throw new SystemError(errno, asked)
  }
}

const encoder = new TextEncoder()

/** The text as C wants it. Throws when the text holds a NUL, which would silently cut it. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError("EINVAL", `use ${JSON.stringify(text)} as a name`)
  return encoder.encode(`${text}\0`)
}
