import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = join(fileURLToPath(import.meta.url), "../..")

/** Stands for the mark of the build, which is as long, and is made of the bundle among other things. */
export const MARK_PLACEHOLDER = `cni-ts build ${"0".repeat(64)}`

/** Leaves in the global object what the host keeps: a function to call, and words for when nothing else can be said. */
const entry = 'import { lastWords, main } from "./plugins/main.ts"\nObject.assign(globalThis, { lastWords, main })\n'

/** Makes one script of all plugins. Names of functions stay readable if `named`. */
export async function bundle({ named = false } = {}): Promise<string> {
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
  return outputFiles[0]?.text ?? ""
}
