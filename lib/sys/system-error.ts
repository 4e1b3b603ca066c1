import { type Errno, errnoName, explain } from "./errno.ts"

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

/** Returns what the host answered; throws a SystemError, whose sentence "cannot ..." `asked` completes, if that is a negative errno. */
export function checked(asked: string, answer: number): number
export function checked<Value extends object | string>(asked: string, answer: Value | number): Value
export function checked(asked: string, answer: object | string | number): object | string | number {
  if (typeof answer === "number" && answer < 0) throw new SystemError(errnoName(-answer), asked)
  return answer
}

/** Whether `error` is a failed system call with one of these error numbers. */
export function failedWith(error: unknown, ...errnos: Errno[]): error is SystemError {
  return error instanceof SystemError && errnos.includes(error.errno)
}
