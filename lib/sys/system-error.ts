import { type Errno, errnoName, explain } from "./errno.ts"

/** Reports a system call that failed. `asked` completes "cannot ...": `open /proc/self/ns/net`. */
export class SystemError extends Error {
  readonly errno: Errno
  readonly asked: string

  constructor(errno: Errno, asked: string) {
    super(`cannot ${asked}: ${explain(errno)}`)
    this.errno = errno
    this.asked = asked
  }
}

/** Returns the host's answer; throws SystemError if that is a negative errno. `asked`, and a name that it ends with, are put together only then. */
export function checked(asked: string, answer: number, name?: string): number
export function checked<Value extends object | string>(asked: string, answer: Value | number, name?: string): Value
export function checked(asked: string, answer: object | string | number, name?: string): object | string | number {
  if (typeof answer === "number" && answer < 0) {
    throw new SystemError(errnoName(-answer), name === undefined ? asked : `${asked} ${name}`)
  }
  return answer
}

/** Returns true if the host's answer is that errno. */
export function isErrno(answer: unknown, errno: Errno): boolean {
  return typeof answer === "number" && answer < 0 && errnoName(-answer) === errno
}

/** Returns true if a system call failed with one of these errors. */
export function failedWith(error: unknown, ...errnos: Errno[]): error is SystemError {
  return error instanceof SystemError && errnos.includes(error.errno)
}
