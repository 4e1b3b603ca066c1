import { type Errno, explain } from "./errno.ts"

/** A system call failed. `asked` says what for, as in `open /proc/self/ns/net`. */
export class SystemError extends Error {
  readonly errno: Errno
  readonly asked: string

  constructor(errno: Errno, asked: string) {
    super(`cannot ${asked}: ${explain(errno)}`)
    this.errno = errno
    this.asked = asked
  }
}

/** Whether `error` is a failed system call with one of these error numbers. */
export function failedWith(error: unknown, ...errnos: Errno[]): error is SystemError {
  return error instanceof SystemError && errnos.includes(error.errno)
}
