import { Undo } from "../net/undo.ts"
import { isOfThisBuild } from "../sys/build.ts"
import { type Ended, host } from "../sys/host.ts"
import { environment, findExecutable, runExecutable, writeStderr } from "../sys/process.ts"
import { signalName } from "../sys/signals.ts"
import { TimedOut } from "../sys/timed-out.ts"
import { timeoutSeconds } from "../sys/timeout.ts"
import type { Command } from "./environment.ts"
import { CniError, code, invalidConfig } from "./errors.ts"
import { Fields } from "./fields.ts"
import { isObject, type Json, JsonError, parseJson } from "./json.ts"
import type { Call, Plugin } from "./plugin.ts"
import { emptyResult, type Result } from "./result.ts"
import { readDelegatedResult } from "./result-read.ts"
import { matchVersion } from "./version.ts"

/** Another plugin that does part of this one's work, usually IPAM: called with the very same configuration. */
export interface Delegate {
  add(): Result
  del(): void
  check(): void
  gc(): void
  status(): void
}

/**
 * Finds the plugin called `type` in CNI_PATH. If that is an executable of this very build the call stays in this process, which
 * changes nothing but the time it takes; any other is executed as the specification says.
 */
export function findDelegate(call: Call, type: string): Delegate {
  const path = locate(call, type)
  const sibling = call.siblings[type]
  // Called as its own delegate a plugin would go on for ever.
  if (sibling && !sibling.ipam)
    throw invalidConfig("ipam.type", `${type} gives no addresses`, 'name an IPAM plugin: "host-local"')
  return new Timed(call, sibling && isOfThisBuild(path) ? inProcess(call, sibling) : executed(path))
}

function locate(call: Call, type: string): string {
  if (type === "") throw new CniError(code.invalidConfig, "no plugin name provided", 'the config needs "ipam.type"')
  if (type.includes("/") || type.includes("\0")) {
    throw new CniError(
      code.invalidConfig,
      `invalid plugin name: ${JSON.stringify(type)}`,
      "a plugin type is a file name",
    )
  }
  const { path } = call.environment
  const found = findExecutable(type, path)
  if (found) return found
  throw new CniError(
    code.invalidConfig,
    `failed to find plugin ${JSON.stringify(type)} in path [${path.join(" ")}]`,
    "install the plugin into a directory of CNI_PATH, or correct the type in the config",
  )
}

/** The commands of a plugin, each with the call. */
type Verbs = Pick<Plugin, "add" | "del" | "check" | "gc" | "status">

/** A delegate whose time the log counts as a phase of its own. */
class Timed implements Delegate {
  readonly #call: Call
  readonly #verbs: Verbs

  constructor(call: Call, verbs: Verbs) {
    this.#call = call
    this.#verbs = verbs
  }

  add(): Result {
    return this.#call.log.timed("ipam", () => this.#verbs.add(this.#call))
  }

  del(): void {
    this.#call.log.timed("ipam", () => this.#verbs.del(this.#call))
  }

  check(): void {
    this.#call.log.timed("ipam", () => this.#verbs.check(this.#call))
  }

  gc(): void {
    this.#call.log.timed("ipam", () => this.#verbs.gc(this.#call))
  }

  status(): void {
    this.#call.log.timed("ipam", () => this.#verbs.status(this.#call))
  }
}

/** Returns the plugin, which is called as it is; throws code 1 if it does not know the configuration's version. */
function inProcess(call: Call, plugin: Plugin): Verbs {
  matchVersion(call.config.cniVersion, plugin.versions)
  return plugin
}

function executed(path: string): Verbs {
  return {
    add: (call) => readOrRelease(call, path),
    del: (call) => void execute(call, path, "DEL"),
    check: (call) => void execute(call, path, "CHECK"),
    gc: (call) => void execute(call, path, "GC"),
    status: (call) => void execute(call, path, "STATUS"),
  }
}

/**
 * Does ADD, and releases the addresses if there is no result to return: a delegate that succeeded has given some, even if its answer cannot
 * be read, and one that was killed may have. One that failed has released them itself.
 */
function readOrRelease(call: Call, path: string): Result {
  using undo = new Undo()
  undo.add(() => execute(call, path, "DEL", RELEASE_TIMEOUT_SECONDS))
  const ended = runDelegate(call, path, "ADD", DELEGATE_TIMEOUT_SECONDS)
  if (ended.exitCode) undo.commit()
  const result = readDelegateResult(call, path, outputOf(path, "ADD", ended))
  undo.commit()
  return result
}

/** With the wait for a lock before it, and the release after it, within the two minutes that runtimes give a call. */
const DELEGATE_TIMEOUT_SECONDS = 60
const RELEASE_TIMEOUT_SECONDS = 20

function execute(call: Call, path: string, command: Command, most = DELEGATE_TIMEOUT_SECONDS): string {
  return outputOf(path, command, runDelegate(call, path, command, most))
}

function runDelegate(call: Call, path: string, command: Command, most: number): Ended {
  const seconds = timeoutSeconds(most)
  const env = { ...environment(), CNI_COMMAND: command }
  const ended = runExecutable(path, { env, stdin: call.config.bytes, timeoutSeconds: seconds })
  if (!ended.timedOut) return ended
  throw new TimedOut(`${path} ${command} did not end within ${seconds} seconds`, "it was killed; try again later")
}

/** Returns the stdout of a delegate that succeeded, and passes its stderr on. Throws the error of one that failed as it is. */
function outputOf(path: string, command: Command, { exitCode, signal, stdout, stderr }: Ended): string {
  const output = host.decode(stdout)
  if (exitCode === 0) {
    writeStderr(stderr)
    return output
  }
  if (output.trim() === "") {
    const ending = signal !== undefined ? `killed by ${signalName(signal)}` : `exit code ${exitCode}`
    const words = host.decode(stderr).trim()
    const problem =
      words === "" ? "netplugin failed with no error message" : `netplugin failed: ${JSON.stringify(words)}`
    throw new CniError(code.delegate, `${path} ${command}: ${problem}`, `${ending}; that plugin's own log may say more`)
  }
  throw readDelegateError(path, output)
}

function readDelegateError(path: string, output: string): CniError {
  const fields = readObject(path, output)
  const number = fields.integer("code") || code.delegate
  const msg = fields.string("msg") || `${path} failed with code ${number} and no message`
  return new CniError(number, msg, fields.string("details") || shown(output))
}

function shown(output: string): string {
  return output.trim() === "" ? "it printed nothing" : `it printed ${output.slice(0, 200)}`
}

/** Reads the result; `null`, as printed by plugins without anything to say, is an empty one. */
function readDelegateResult(call: Call, path: string, output: string): Result {
  try {
    const value = parseJson(output)
    return value === null ? emptyResult : readDelegatedResult(value, "result", call.config.cniVersion)
  } catch (error) {
    if (!(error instanceof JsonError || error instanceof CniError)) throw error
    throw new CniError(code.delegate, `${path} gave no usable result: ${error.message}`, shown(output))
  }
}

function readObject(path: string, output: string): Fields {
  const value = parseOutput(path, output)
  if (isObject(value)) return new Fields(value, `answer of ${path}`)
  throw new CniError(code.delegate, `${path} failed and answered no JSON object`, shown(output))
}

function parseOutput(path: string, output: string): Json {
  try {
    return parseJson(output)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new CniError(code.delegate, `cannot decode the answer of ${path}: ${error.message}`, shown(output))
  }
}
