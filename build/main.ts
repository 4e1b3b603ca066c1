import { linkSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeExecutable } from "./executable.ts"
import { pluginNames } from "./names.ts"
import { ownArchitecture } from "./toolchain.ts"

const bin = join(fileURLToPath(import.meta.url), "../../dist/bin")

/** Builds dist/bin for this machine: one executable, hard-linked under each plugin's name, and the operator's, `cni-ts`. */
async function build(): Promise<void> {
  mkdirSync(bin, { recursive: true })
  const fresh = join(bin, ".cni-ts.new")
  await makeExecutable(ownArchitecture(), fresh)
  const megabytes = (statSync(fresh).size / 1e6).toFixed(1)
  for (const name of pluginNames) install(fresh, join(bin, name))
  rmSync(fresh)
  await makeExecutable(ownArchitecture(), fresh, { program: "cli/main.ts" })
  renameSync(fresh, join(bin, "cni-ts"))
  console.log(`dist/bin: ${pluginNames.join(", ")} (one executable of ${megabytes} MB)`)
}

/** By rename, so that a plugin that runs at this moment is not disturbed. */
function install(from: string, to: string): void {
  const scratch = `${to}.new`
  rmSync(scratch, { force: true })
  linkSync(from, scratch)
  renameSync(scratch, to)
}

await build()
