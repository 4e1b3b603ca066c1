import { type Json, JsonError, parseJson } from "../lib/cni/json.ts"

/** Returns the document that the text is; undefined if it is none in JSON. */
export function documentIn(text: string): Json | undefined {
  try {
    return parseJson(text)
  } catch (error) {
    if (error instanceof JsonError) return undefined
    throw error
  }
}
