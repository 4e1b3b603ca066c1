import { readText, unlessMissing, writeNew } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { findExecutable, runExecutable } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { anonymise } from "./anonymous/anonymise.ts"
import { type RecordedFile, readCalls } from "./read.ts"
import { type Recording, rawDirectory } from "./wrapping.ts"

/** As long as calls that have begun before the end are waited for. */
const PATIENCE = 2000

/** The number of calls that a recording holds, those of them that failed, and those that did not end. */
export interface Summary {
  readonly directory: string
  readonly calls: number
  readonly failed: number
  readonly unended: number
}

/** Waits for the calls that are under way, adds what else a reader needs, and says what there is. */
export function complete(recording: Recording, plugins: string): Summary {
  const files = awaitEnds(rawDirectory(recording))
  if (files.length > 0) {
    describeNode(recording.directory, plugins, files)
    if (recording.anonymous) anonymise(rawDirectory(recording), recording.directory)
  }
  const unended = files.filter(({ call }) => !call.answer).length
  const failed = files.filter(({ call: { answer } }) => answer && answer.exitCode !== 0).length
  return { directory: recording.directory, calls: files.length, failed, unended }
}

/** Returns the calls once all of them have ended. One whose plugin was killed never does. */
function awaitEnds(directory: string): RecordedFile[] {
  const end = host.uptime() + PATIENCE
  for (;;) {
    const files = unlessMissing(() => readCalls(directory)) ?? []
    if (files.every(({ call }) => call.answer) || host.uptime() > end) return files
    host.sleep(100)
  }
}

/** Writes down the kernel, and what each plugin that was called says it is. */
function describeNode(directory: string, plugins: string, files: readonly RecordedFile[]): void {
  const kernel = readText("/proc/version", 4096).trim()
  const names = [...new Set(files.map(({ call }) => call.plugin))].sort()
  const said = names.map((name) => [name, introduction(plugins, name)])
  const text = JSON.stringify({ kernel, plugins: Object.fromEntries(said) }, null, 2)
  writeNew(`${directory}/node.json`, `${text}\n`, { synced: false })
}

/** Returns what a plugin says that is started without a call; those made with the Go library name their version. */
function introduction(plugins: string, name: string): string {
  try {
    const path = findExecutable(name, [plugins])
    if (path === undefined) return "gone"
    return host.decode(runExecutable(path, { env: {}, stdin: new Uint8Array(), timeoutSeconds: 5 }).stderr).trim()
  } catch (error) {
    if (error instanceof SystemError) return error.message
    throw error
  }
}

/** Returns a line for people. */
export function printSummary({ directory, calls, failed, unended }: Summary): string {
  const parts = [
    `${calls} ${calls === 1 ? "call is" : "calls are"} recorded`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(unended > 0 ? [`${unended} did not end`] : []),
  ]
  return `${directory}: ${parts.join(", ")}\n`
}
