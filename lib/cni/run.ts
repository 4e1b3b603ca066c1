import { isOwnNamespace, requireProc } from "../sys/netns.ts"
import { exit, variable, writeStderr, writeStdout } from "../sys/process.ts"
import { readStdin } from "../sys/stdin.ts"
import { SystemError } from "../sys/system-error.ts"
import { CallLog } from "./call-log.ts"
import { matchConfig, readConfig, type UnmatchedConfig } from "./config.ts"
import { type Environment, readEnvironment } from "./environment.ts"
import { printFailure, toCniError } from "./error-document.ts"
import { CniError, code } from "./errors.ts"
import type { Call, Plugin } from "./plugin.ts"
import { reference, release } from "./product-version.ts"
import { printResult } from "./result-print.ts"
import { atLeast, latest, type Version } from "./version.ts"

/** Answers the one call this process was started for, then ends the process: 0 for success, 1 after an error. */
export function runPlugin(plugin: Plugin, siblings: Call["siblings"]): void {
  const log = new CallLog(plugin.name)
  let config: UnmatchedConfig | undefined
  try {
    const asked = variable("CNI_COMMAND") ? readEnvironment(variable) : undefined
    if (!asked) {
      introduce(plugin)
    } else if (asked.command === "VERSION") {
      writeStdout(`${versionReply(plugin)}\n`)
    } else {
      const read = log.timed("input", () => readConfig(readInput()))
      config = read
      log.configured(read)
      log.timed("plugin", () => perform(plugin, asked, read, { siblings, log }))
      log.end()
    }
    exit(0)
  } catch (error) {
    fail(toCniError(error), config?.cniVersion || undefined, log)
  }
}

function fail(error: CniError, version: string | undefined, log: CallLog): void {
  try {
    writeStdout(printFailure(error, version))
  } catch {
    writeStderr(`${error.message}\n`)
  }
  log.end(error)
  exit(1)
}

/** Prints a semantic version behind the name: nerdctl asks if it is at least 1.1.0. */
function introduce(plugin: Plugin): void {
  const about = `CNI ${plugin.name} plugin v${reference}+cni-ts.${release}`
  writeStderr(`${about}\nCNI protocol versions supported: ${plugin.versions.join(", ")}\n`)
}

function versionReply(plugin: Plugin): string {
  return JSON.stringify({ cniVersion: latest, supportedVersions: plugin.versions })
}

function readInput(): Uint8Array {
  try {
    return readStdin()
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw new CniError(code.io, error.message, "the runtime hands the network config over on stdin", { cause: error })
  }
}

type Context = Pick<Call, "siblings" | "log">

/** Has the plugin do the command, if the version allows it and the namespace is not the plugin's own. */
function perform(plugin: Plugin, asked: Environment, unmatched: UnmatchedConfig, context: Context): void {
  const { command } = asked
  if (command === "CHECK") requireVersion(plugin, unmatched.cniVersion, command, "0.4.0")
  if (command === "GC" || command === "STATUS") requireVersion(plugin, unmatched.cniVersion, command, "1.1.0")
  const verb = verbOf(command)
  const call: Call = { ...context, environment: asked, config: matchConfig(unmatched, plugin.versions) }
  requireProc()
  if (verb === "add" || verb === "del") refuseOwnNamespace(asked)
  if (verb === "add") deliver(plugin, call)
  else plugin[verb](call)
}

function verbOf(command: string): "add" | "del" | "check" | "gc" | "status" {
  switch (command) {
    case "ADD":
      return "add"
    case "DEL":
      return "del"
    case "CHECK":
      return "check"
    case "GC":
      return "gc"
    case "STATUS":
      return "status"
    default:
      throw new CniError(
        code.badEnvironment,
        `unknown CNI_COMMAND: ${command}`,
        "known: ADD DEL CHECK GC STATUS VERSION",
      )
  }
}

function requireVersion(plugin: Plugin, config: string, command: string, least: Version): void {
  if (!atLeast(config, least)) {
    throw new CniError(
      code.incompatibleVersion,
      `config version does not allow ${command}`,
      `${command} came with CNI ${least}, the config says ${JSON.stringify(config || "0.1.0")}`,
    )
  }
  if (!plugin.versions.findLast((version) => atLeast(version, config as Version))) {
    throw new CniError(
      code.incompatibleVersion,
      `plugin version does not allow ${command}`,
      `${plugin.name} speaks CNI ${plugin.versions.join(" ")}`,
    )
  }
}

/** Refuses the plugin's own namespace before anything is done; the Go library notices only after its ADD has changed the node and printed a result. */
function refuseOwnNamespace({ netns, netnsOverride }: Environment): void {
  if (netns === "" || netnsOverride || !isOwnNamespace(netns)) return
  throw new CniError(
    code.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
    `${netns} is the network namespace the plugin runs in; CNI_NETNS_OVERRIDE=1 allows that`,
  )
}

/** Hands over the result of ADD. If that fails, ADD is undone: the runtime will believe that it failed. */
function deliver(plugin: Plugin, call: Call): void {
  const result = plugin.add(call)
  try {
    writeStdout(printResult(result, call.config.cniVersion))
  } catch (error) {
    const { takeBack = plugin.del } = plugin
    takeBack(call)
    throw error
  }
}
