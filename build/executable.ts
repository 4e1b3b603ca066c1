import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { plugins } from "../plugins/registry.ts"
import { compile } from "./compile.ts"

const bin = join(import.meta.dirname, "../dist/bin")

/** Builds dist/bin: one executable for this machine's architecture, hard-linked under each plugin's name. */
function build(): void {
  mkdirSync(bin, { recursive: true })
  const fresh = join(bin, ".cni-ts.new")
  compile(fresh, { architecture: process.arch === "arm64" ? "arm64" : "x64", bun: process.execPath })
  const bytes = readFileSync(fresh)
  rmSync(fresh)
  // Written in one piece it lies in large pieces in the page cache too, which spares every start a millisecond of page faults.
  writeFileSync(fresh, bytes, { mode: 0o755 })
  for (const name of Object.keys(plugins)) install(fresh, join(bin, name))
  const megabytes = (bytes.length / 1e6).toFixed(0)
  rmSync(fresh)
  console.log(`dist/bin: ${Object.keys(plugins).join(", ")} (one executable of ${megabytes} MB)`)
}

/** By rename, so that a plugin that runs at this moment is not disturbed. */
function install(from: string, to: string): void {
  const scratch = `${to}.new`
  rmSync(scratch, { force: true })
  linkSync(from, scratch)
  renameSync(scratch, to)
}

build()
