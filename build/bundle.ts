import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { build, stop } from "esbuild"

const root = join(fileURLToPath(import.meta.url), "../..")

/** Stands for the mark of the build, which is as long, and is made of the bundle among other things. */
export const MARK_PLACEHOLDER = `cni-ts build ${"0".repeat(64)}`

/** Makes one script of a module, all plugins' unless said, and what it imports. Names of functions stay readable if `named`. */
export async function bundle({ named = false, program = "plugins/main.ts" } = {}): Promise<string> {
  // Leaves in the global object what the host keeps: a function to call, and the answer that needs no memory.
  const globals = "{ main, outOfMemoryAnswer }"
  const entry = `import ${globals} from "./${program}"\nObject.assign(globalThis, ${globals})\n`
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: root, sourcefile: "entry.ts", loader: "ts" },
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: "iife",
    platform: "neutral",
    // The engine knows `using`. What esbuild would put in its place leaves cycles, which nobody collects.
    target: "esnext",
    minify: !named,
    keepNames: false,
    legalComments: "none",
    define: { BUILD_MARK: JSON.stringify(MARK_PLACEHOLDER) },
    logLevel: "warning",
  })
  await stop() // otherwise its process lives as long as this one
  return outputFiles[0]?.text ?? ""
}
