// asm-generic/errno-base.h, errno.h
export const EINTR = 4
export const ENOEXEC = 8
export const EAGAIN = 11
export const EINVAL = 22
export const EMSGSIZE = 90
export const ETIMEDOUT = 110

/** The negative errno that an error of Node.js's own modules carries. Throws what is none. */
export function errnoOf(error: unknown): number {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") return error.errno
  throw error
}
