import { outOfMemory, printFailure } from "../lib/cni/error-document.ts"
import { runPlugin } from "../lib/cni/run.ts"
import { exit, programName, writeStderr } from "../lib/sys/process.ts"
import { plugins } from "./registry.ts"

/** Runs the plugin that the executable's name selects: it holds all plugins. */
export function main(): void {
  const name = programName()
  const plugin = plugins[name]
  if (plugin) {
    runPlugin(plugin, plugins)
  } else {
    writeStderr(`${name}: this is cni-ts under a name it does not know: ${Object.keys(plugins).join(", ")}\n`)
    exit(1)
  }
}

/** The answer of a process without the memory to make one. */
export const outOfMemoryAnswer = printFailure(outOfMemory, undefined)
