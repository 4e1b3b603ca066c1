import { spawnSync } from "node:child_process"
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { plugins } from "../plugins/registry.ts"

const root = join(import.meta.dirname, "..")
const bin = join(root, "dist", "bin")

/**
 * What each flag is for. Without the autoload flags the executable would read .env and bunfig.toml from its working directory;
 * the embedded `--` has BUN_OPTIONS, which comes after it, ignored; byte code saves a millisecond of every call. A plugin ends
 * before compiling its functions could pay: with the default policy a call spends three milliseconds on that.
 */
const flags = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--compile-jit-policy=50",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict --",
]

/** Builds dist/bin: one executable for this machine's architecture, hard-linked under each plugin's name. */
function build(): void {
  mkdirSync(bin, { recursive: true })
  const fresh = join(bin, ".cni-ts.new")
  const { status } = spawnSync(
    process.execPath,
    ["build", ...flags, join(root, "plugins", "main.ts"), "--outfile", fresh],
    { stdio: ["ignore", "ignore", "inherit"] },
  )
  if (status !== 0) process.exit(status ?? 1)
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
