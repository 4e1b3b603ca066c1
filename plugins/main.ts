import { runPlugin } from "../lib/cni/run.ts"
import { exit, programName, writeStderr } from "../lib/sys/process.ts"
import { plugins } from "./registry.ts"

/** The executable is every plugin: which one it is now, its name says. */
const name = programName()
const plugin = plugins[name]
if (plugin) {
  runPlugin(plugin, plugins)
} else {
  writeStderr(`${name}: this is cni-ts under a name it does not know: ${Object.keys(plugins).join(", ")}\n`)
  exit(1)
}
