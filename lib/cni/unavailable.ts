import { toCniError } from "./error-document.ts"
import { CniError, code } from "./errors.ts"

/** STATUS's way to say why ADD cannot be served: whatever `attempt` throws becomes code 50. */
export function orUnavailable<Value>(attempt: () => Value): Value {
  try {
    return attempt()
  } catch (error) {
    const { message, details } = toCniError(error)
    throw new CniError(code.notAvailable, message, details, { cause: error })
  }
}
