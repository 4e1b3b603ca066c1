import { JsonError, parseJson } from "../../../lib/cni/json.ts"
import { readNamed } from "../../../lib/sys/file.ts"
import { linkStatus } from "../../../lib/sys/file-status.ts"
import type { Survey } from "../../survey/survey.ts"

/** libcni writes into the file itself, so that a young one may be half-written for a moment. */
const SETTLED_SECONDS = 60n
const MAX_BYTES = 4 << 20

/** Returns the files of the runtime's memory that a power cut has left empty or half-written, with their sizes. */
export function brokenMemories(survey: Survey): { path: string; size: number }[] {
  const now = BigInt(Math.floor(Date.now() / 1000))
  const files = survey.cache.unreadable.filter(({ path }) => path !== survey.places.cache)
  return files.flatMap(({ path }) => {
    const { modified, size } = survey.attempt(() => linkStatus(path)) ?? { modified: now, size: 0 }
    if (modified + SETTLED_SECONDS > now) return []
    return survey.attempt(() => !isJson(readNamed(path, MAX_BYTES))) ? [{ path, size }] : []
  })
}

function isJson(text: string): boolean {
  try {
    parseJson(text)
    return true
  } catch (error) {
    if (error instanceof JsonError) return false
    throw error
  }
}
