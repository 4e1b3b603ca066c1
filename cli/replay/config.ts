import { isObject, JsonError, type JsonObject, parseJson } from "../../lib/cni/json.ts"
import type { RecordedCall } from "../record/recorded-call.ts"

/** Returns the configuration that a call was given; an empty one if it is none. */
export function configOf({ stdin }: RecordedCall): JsonObject {
  try {
    const config = parseJson(stdin)
    return isObject(config) ? config : {}
  } catch (error) {
    if (error instanceof JsonError) return {}
    throw error
  }
}
