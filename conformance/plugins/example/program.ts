import { deny } from "../../../docs/example-plugin/plugin.ts"
import { outOfMemory, printFailure } from "../../../lib/cni/error-document.ts"
import { runPlugin } from "../../../lib/cni/run.ts"
import { programName } from "../../../lib/sys/process.ts"
import { plugins as shipped } from "../../../plugins/registry.ts"

const plugins: typeof shipped = { ...shipped, deny }

/** Answers as the main() of plugins/main.ts, with one plugin more in the registry. */
export function main(): void {
  runPlugin(plugins[programName()] ?? deny, plugins)
}

export const outOfMemoryAnswer = printFailure(outOfMemory, undefined)
