import { isObject, type JsonObject } from "../../lib/cni/json.ts"
import { documentIn } from "../document.ts"
import type { RecordedCall } from "../record/recorded-call.ts"

/** Returns the configuration that a call was given; an empty one if it is none. */
export function configOf({ stdin }: RecordedCall): JsonObject {
  const config = documentIn(stdin)
  return config !== undefined && isObject(config) ? config : {}
}
