import { spawnSync } from "node:child_process"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

/** Architectures as Node.js and Bun name them. */
export type Architecture = "x64" | "arm64"

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

/**
 * Compiles the plugins into one executable around `bun`, the runtime for that architecture; ends the process if it cannot.
 * The same sources and runtime give the same bytes in any directory and on any machine, if `outfile` has the same base name,
 * which the executable contains.
 */
export function compile(outfile: string, target: { architecture: Architecture; bun: string }): void {
  const platform = [`--target=bun-linux-${target.architecture}`, `--compile-executable-path=${target.bun}`]
  const { status } = spawnSync(
    process.execPath,
    ["build", ...flags, ...platform, join(root, "plugins", "main.ts"), "--outfile", outfile],
    { stdio: ["ignore", "ignore", "inherit"] },
  )
  if (status !== 0) process.exit(status ?? 1)
}
