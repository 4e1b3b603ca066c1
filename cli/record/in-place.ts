import { host } from "../../lib/sys/host.ts"
import { executablePath, programArguments, variable, writeStderr } from "../../lib/sys/process.ts"
import { CallFile } from "./call-file.ts"
import { currentRecording, isRecorder, originalName, type Recording, rawDirectory } from "./wrapping.ts"

/** The most that is kept of each of stdin, stdout and stderr. All of it is passed on. */
const LIMIT = 1 << 20

/** As long as input may pause before the plugin is started: runtimes have it ready. */
const INPUT_PAUSE = 1000

/**
 * Ends this process as the plugin whose name it bears would, and records the call, if this executable is a recorder; returns if it is not.
 * Whatever goes wrong with the recording, the plugin is run.
 */
export function answerInPlace(): void {
  const place = placeOf(attempt(executablePath) ?? host.arguments()[0] ?? "")
  if (!place) return
  const recording = attempt(() => wanted(place.directory))
  if (recording) relay(place, recording)
  firstOf(place, (path) => host.become(path))
}

interface Place {
  readonly directory: string
  readonly name: string
  readonly original: string
}

/**
 * Returns undefined if this executable is the operator's. A recorder is known by its own bytes: at any moment it may lose its name, and the
 * original the one that it has meanwhile.
 */
function placeOf(executable: string): Place | undefined {
  const path = executable.replace(/ \(deleted\)$/, "")
  const slash = path.lastIndexOf("/")
  const [directory, name] = [path.slice(0, slash), path.slice(slash + 1)]
  const original = `${directory}/${originalName(name)}`
  const isMarked = attempt(() => isRecorder("/proc/self/exe")) ?? typeof host.stat(original, false) === "object"
  return isMarked ? { directory, name, original } : undefined
}

/** Returns the recording that this call belongs to, if it is one of a runtime's. */
function wanted(directory: string): Recording | undefined {
  const isCall = variable("CNI_COMMAND") !== undefined && programArguments().length === 0
  return isCall ? currentRecording(directory) : undefined
}

/** Returns what `run` does with the plugin, wherever it is: it gets its name back as soon as the recording ends. */
function firstOf<Value>({ directory, name, original }: Place, run: (path: string) => Value | number): Value {
  for (const path of [original, `${directory}/${name}`]) {
    const answer = run(path)
    if (typeof answer !== "number") return answer
  }
  writeStderr(`cni-ts: cannot run ${original}\n`)
  host.exit(1)
}

function relay(place: Place, recording: Recording): void {
  const { bytes, whole } = readInput()
  const stdin = host.decode(bytes)
  const file = attempt(() => CallFile.begin(rawDirectory(recording), place.name, stdin))
  const began = host.uptime()
  const ended = firstOf(place, (path) => host.relay(path, bytes, LIMIT))
  const cut = [
    ...(whole ? [] : ["stdin"]),
    ...(["stdout", "stderr"] as const).filter((of) => ended[of].length === LIMIT),
  ]
  attempt(() => file?.end(ended, host.uptime() - began, cut))
  host.endAlike()
}

/** Reads what is on stdin, as far as a recording keeps it. Never fails: the plugin will see for itself. */
function readInput(): { bytes: Uint8Array; whole: boolean } {
  let buffer = new Uint8Array(1 << 16)
  let length = 0
  while (length < LIMIT && host.awaitInput(0, INPUT_PAUSE) === 0) {
    const count = host.read(0, buffer.subarray(length))
    if (count === 0) return { bytes: buffer.subarray(0, length), whole: true }
    if (count < 0) break
    length += count
    if (length === buffer.length) buffer = enlarged(buffer)
  }
  return { bytes: buffer.subarray(0, length), whole: false }
}

function enlarged(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * buffer.length)
  larger.set(buffer)
  return larger
}

/** Returns undefined whatever is thrown: a recording is never in the way of a call. */
function attempt<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}
