import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type Target, toolchainFor } from "./toolchain.ts"

const cache = join(fileURLToPath(import.meta.url), "../../.cache/objects")

/** C files that are compiled alike. */
export interface Unit {
  readonly name: string
  /** The directory that the C files and their headers lie in. */
  readonly sources: string
  readonly flags: readonly string[]
}

/**
 * Compiles the C files of a unit for `target` and returns the objects, which stay in .cache until a source, a flag or the compiler is
 * another. The same sources and compiler give the same bytes in any directory.
 */
export async function objectsOf(unit: Unit, target: Target): Promise<string[]> {
  const files = readdirSync(unit.sources).filter((file) => /\.[ch]$/.test(file))
  const modules = files.filter((file) => file.endsWith(".c")).sort()
  const prefix = `${unit.name}-${target}-`
  const directory = join(cache, `${prefix}${keyOf(unit, target, files.sort())}`)
  if (!existsSync(directory)) {
    mkdirSync(cache, { recursive: true })
    const scratch = mkdtempSync(join(cache, ".scratch-"))
    try {
      await Promise.all(
        modules.map((file) => compile(unit, target, [join(unit.sources, file), objectIn(scratch, file)])),
      )
      replace(prefix, directory, scratch)
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }
  return modules.map((file) => objectIn(directory, file))
}

function objectIn(directory: string, file: string): string {
  return join(directory, file.replace(/\.c$/, ".o"))
}

function keyOf(unit: Unit, target: Target, files: readonly string[]): string {
  const { flags, identity } = toolchainFor(target)
  const hash = createHash("sha256").update(JSON.stringify([identity, flags, unit.flags, invariants]))
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(unit.sources, file)))
  return hash.digest("hex").slice(0, 16)
}

/** Puts fresh objects where those of earlier sources were. */
function replace(prefix: string, directory: string, scratch: string): void {
  if (existsSync(directory)) return // another build made the same meanwhile
  for (const name of readdirSync(cache)) if (name.startsWith(prefix)) rmSync(join(cache, name), { recursive: true })
  renameSync(scratch, directory)
}

/** Each variable in a section of its own, so that the linker can leave out what nobody uses. */
const invariants = ["-ffunction-sections", "-fdata-sections", "-Wdate-time"]

const execute = promisify(execFile)
const waiting: (() => void)[] = []
let idle = cpus().length

/** Compiles one file as soon as a processor is idle. */
async function compile(unit: Unit, target: Target, [source, object]: [string, string]): Promise<void> {
  const { compiler, flags } = toolchainFor(target)
  if (idle > 0) idle -= 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    const map = `-ffile-prefix-map=${unit.sources}=${unit.name}`
    await execute(compiler, [...invariants, ...flags, ...unit.flags, map, "-c", source, "-o", object])
  } finally {
    const next = waiting.shift()
    if (next) next()
    else idle += 1
  }
}
