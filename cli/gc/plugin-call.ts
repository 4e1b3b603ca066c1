import type { JsonObject } from "../../lib/cni/json.ts"
import { host } from "../../lib/sys/host.ts"
import { findExecutable, runExecutable, variable, writeStderr } from "../../lib/sys/process.ts"
import { Unusable } from "../command.ts"

export interface PluginCall {
  readonly type: string
  readonly command: "DEL" | "GC"
  /** Without CNI_COMMAND and CNI_PATH. */
  readonly variables: Readonly<Record<string, string>>
  readonly config: Readonly<Record<string, unknown>>
}

/** As long as runtimes wait for a plugin. */
export const TIMEOUT_SECONDS = 120

/** Calls a plugin as a runtime does; what it says on stderr goes to stderr. Throws Unusable if it is not there or fails. */
export function callPlugin(directories: readonly string[], { type, command, variables, config }: PluginCall): void {
  const path = findExecutable(type, directories)
  if (path === undefined) throw new Unusable(`plugin ${type} is not in ${directories.join(" ")}`)
  const env = { PATH: variable("PATH"), ...variables, CNI_COMMAND: command, CNI_PATH: directories.join(":") }
  const stdin = host.encode(printConfig(config))
  const ended = runExecutable(path, { env, stdin, timeoutSeconds: TIMEOUT_SECONDS })
  writeStderr(ended.stderr)
  if (ended.exitCode === 0) return
  throw new Unusable(`${command} of ${type} fails: ${messageOf(host.decode(ended.stdout))}`)
}

/** Prints the configuration; numbers that JavaScript does not hold exactly come as they were written. */
export function printConfig(config: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(config).replace(/"\\u0000([^"]*)"/g, "$1")
}

function messageOf(stdout: string): string {
  try {
    const { msg = "", details = "" } = JSON.parse(stdout) as JsonObject
    return [msg, details].filter(Boolean).join("; ")
  } catch {
    return stdout.trim() || "it does not say why"
  }
}
