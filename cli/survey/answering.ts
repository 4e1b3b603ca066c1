import { listDirectory, readNamed } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { executablePath, exit, variable } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"

/** Names, in the environment, the directory that this executable is only to look into. */
const VARIABLE = "CNI_TS_LOOK_INTO"
const WAIT_MILLISECONDS = 2000

/**
 * Says if the directory's file system answers, whatever it is. A process of its own asks, as none can be given up by itself that waits for
 * another machine's files.
 */
export function answers(directory: string): boolean {
  const ended = host.spawn(executablePath(), [`${VARIABLE}=${directory}`], new Uint8Array(), WAIT_MILLISECONDS)
  return typeof ended === "object" && !ended.timedOut
}

/** Looks into the directory and ends this process, if it was started by answers(). */
export function lookForAnother(): void {
  const directory = variable(VARIABLE)
  if (directory === undefined) return
  try {
    const [first] = listDirectory(directory)
    if (first !== undefined) readNamed(`${directory}/${first}`, 1)
  } catch (error) {
    if (!(error instanceof SystemError)) throw error // that, too, is an answer
  }
  exit(0)
}
