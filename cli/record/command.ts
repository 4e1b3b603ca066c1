import { makeDirectories, readLink } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { BLIND, type Command, DONE, type Options, Unusable } from "../command.ts"
import { formatFrom } from "../format.ts"
import { complete, printSummary } from "./complete.ts"
import { readCalls } from "./read.ts"
import { beginRecording, endRecording, isUnderWay, type Recording, rawDirectory } from "./wrapping.ts"

const PLUGINS = "/opt/cni/bin"

export const recordCommand: Command = {
  usage: "record DIR | record --stop",
  purpose: "writes down every call of the plugins for a while, for a bug report",
  help: `Writes to DIR what each call of a plugin was given and what it answered: environment, stdin, stdout, stderr, exit status and
duration, a file for each. Until then copies of this program bear the plugins' names and run the plugins in their place; they change
no answer, and if they cannot record a call it is made all the same.

  --for TIME       ends after TIME, such as 90s, 10m or 1h; otherwise with Ctrl-C
  --plugins PATH   the plugin directory, instead of ${PLUGINS}
  --anonymous      has other words in place of addresses, names, ids and secrets, the same for the same
  --stop           ends a recording; or puts every plugin back after one that was killed
  -o json          says in the end for programs what there is
`,
  minArguments: 0,
  maxArguments: 1,
  options: { "--for": "value", "--plugins": "value", "--anonymous": "flag", "--stop": "flag", "-o": "value" },
  unable: BLIND,
  run: ([directory], options) => {
    const plugins = absolute(options.get("--plugins") ?? PLUGINS)
    const format = formatFrom(options)
    if (options.has("--stop")) return stop(plugins, format)
    if (directory === undefined) throw new Unusable("say in which directory to write")
    return record(plugins, { directory: absolute(directory), anonymous: options.has("--anonymous") }, options)
  },
}

function record(plugins: string, recording: Recording, options: Options): number {
  const [end, format] = [host.uptime() + durationIn(options), formatFrom(options)]
  makeDirectories(rawDirectory(recording), 0o700)
  if (readCalls(recording.directory).length > 0) throw new Unusable(`${recording.directory} holds a recording already`)
  host.awaitSignal(0) // from now on a signal waits until it is asked for
  using _recording = beginRecording(plugins, recording)
  if (format === "text") writeStdout(`calls of the plugins in ${plugins} are recorded; Ctrl-C ends it\n`)
  while (host.uptime() < end && isUnderWay(plugins)) {
    if (host.awaitSignal(Math.min(1000, end - host.uptime())) > 0) break
  }
  return stop(plugins, format, recording)
}

/** Has every plugin bear its name again, and completes the recording; `own` if another process has ended it already. */
function stop(plugins: string, format: "text" | "json", own?: Recording): number {
  const recording = endRecording(plugins) ?? own
  const summary = recording && complete(recording, plugins)
  if (format === "json") writeStdout(`${JSON.stringify(summary ?? null)}\n`)
  else writeStdout(summary ? printSummary(summary) : `nothing is being recorded in ${plugins}\n`)
  return DONE
}

function durationIn(options: Options): number {
  const text = options.get("--for")
  if (text === undefined) return Number.POSITIVE_INFINITY
  const [, digits = "", unit = ""] = /^(\d{1,6})([smh])$/.exec(text) ?? []
  const seconds = { s: 1, m: 60, h: 3600 }[unit]
  if (seconds === undefined) throw new Unusable(`${JSON.stringify(text)} is no time such as 90s, 10m or 1h`)
  return Number(digits) * seconds * 1000
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${readLink("/proc/self/cwd")}/${path}`
}
