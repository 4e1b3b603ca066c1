import { Conflict } from "../net/conflict.ts"
import { KernelError } from "../netlink/kernel-error.ts"
import { adviceOn } from "../sys/advice.ts"
import { host } from "../sys/host.ts"
import { NoProc } from "../sys/netns.ts"
import { failedWith, SystemError } from "../sys/system-error.ts"
import { TimedOut } from "../sys/timed-out.ts"
import { CniError, code } from "./errors.ts"

/** Turns any failure into the error that the runtime reads. One that nobody foresaw is code 999, without a stack trace. */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error
  const cause = { cause: error }
  if (error instanceof KernelError) return new CniError(code.kernel, error.message, error.advice, cause)
  if (error instanceof Conflict) return new CniError(code.conflict, error.message, error.advice, cause)
  if (error instanceof TimedOut) return new CniError(code.tryAgainLater, error.message, error.advice, cause)
  if (error instanceof NoProc) return new CniError(code.file, error.message, error.advice, cause)
  if (failedWith(error, "ETIMEDOUT"))
    return new CniError(code.tryAgainLater, error.message, "the kernel is slow: try again later", cause)
  if (error instanceof SystemError) return new CniError(code.file, error.message, adviceOn(error), cause)
  if (isLackOfMemory(error)) return new CniError(code.internal, outOfMemory.message, outOfMemory.details, cause)
  const message = error instanceof Error ? error.message : String(error)
  return new CniError(code.internal, `internal error: ${message}`, "this is a fault in cni-ts, please report it", cause)
}

/** The error of a process that may not have the memory, or the stack, that the call takes. */
export const outOfMemory = new CniError(
  code.internal,
  "out of memory",
  "what the process may have of memory or stack is too little: see its ulimit -v, -d and -s, and its cgroup's memory.max",
)

/** Returns true if the engine lacked memory: it throws an error of a kind of its own, or null if that was too much already; of the stack it says so. */
export function isLackOfMemory(error: unknown): boolean {
  if (error instanceof RangeError) return error.message.includes("call stack")
  return error === null || (error instanceof Error && error.name === "InternalError")
}

/** Prints the error document of the specification; `version` is the configuration's, if it got that far. */
export function printFailure(error: CniError, version: string | undefined): string {
  return host.printJson({
    cniVersion: version,
    code: error.code,
    msg: error.message,
    details: error.details || undefined,
  })
}
