import { listDirectory, readText } from "../../lib/sys/file.ts"
import { type RecordedCall, readCall } from "./recorded-call.ts"

/** A recorded call, and the name of its file. */
export interface RecordedFile {
  readonly name: string
  readonly call: RecordedCall
}

/** Reads the calls in a directory, in the order in which they began. Throws Unusable at a file that is none. */
export function readCalls(directory: string): RecordedFile[] {
  const names = listDirectory(directory).filter((name) => /^\d+-.*\.json$/.test(name))
  return names
    .sort()
    .map((name) => ({ name, call: readCall(readText(`${directory}/${name}`), `${directory}/${name}`) }))
}
