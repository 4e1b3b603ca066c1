import { CniError } from "../cni/errors.ts"

/** Returns the code and the message of the CniError that `action` throws. */
export function refusalOf(action: () => unknown): readonly [code: number, message: string] {
  try {
    action()
  } catch (error) {
    if (error instanceof CniError) return [error.code, error.message]
    throw error
  }
  throw new Error("not refused")
}
