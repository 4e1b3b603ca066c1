import { toCniError } from "./error-document.ts"
import { CniError, code } from "./errors.ts"

/** Returns what `attempt` returns. Turns whatever it throws into code 50, by which STATUS says why ADD cannot be served. */
export function orUnavailable<Value>(attempt: () => Value): Value {
  try {
    return attempt()
  } catch (error) {
    const { message, details } = toCniError(error)
    throw new CniError(code.notAvailable, message, details, { cause: error })
  }
}
