import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { objectsOf } from "./objects.ts"
import type { Target } from "./toolchain.ts"

const fetch = join(fileURLToPath(import.meta.url), "../engine/fetch")

/** As upstream compiles it, `char` being unsigned on every processor. */
const flags = ["-std=gnu11", "-w", "-funsigned-char", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD"]

/**
 * In executables the engine has no parser, so no `eval` either; and asks the host for the time, which stands still while the heap image
 * is made. `int engine_time_of_day(struct timeval *, void *)` is the host's.
 */
const executable = ["-DQJS_DISABLE_PARSER", "-Dgettimeofday=engine_time_of_day"]

const flagsFor: Record<Target, readonly string[]> = {
  amd64: [...flags, ...executable, "-O2", "-DNDEBUG"],
  arm64: [...flags, ...executable, "-O2", "-DNDEBUG"],
  compiler: [...flags, "-O1", "-DNDEBUG"],
  // With the engine's assertions.
  sanitized: [...flags, ...executable, "-O1"],
}

/** The directory of QuickJS-ng's C sources, headers and LICENSE, which cargo fetches the first time. */
export function engineSources(): string {
  return execFileSync(fetch, { encoding: "utf8" }).trim()
}

/** The engine's objects for `target`: with its parser for `compiler`, without for all others, which are made into an image. */
export function engineObjects(target: Target): Promise<string[]> {
  if (target === "compiler")
    return objectsOf({ name: "engine", sources: engineSources(), flags: flagsFor[target] }, target)
  return changedObjects("engine", target, ["image.inc"])
}

/** The engine's objects for profiles: it can say which functions are at work at any moment. */
export function profiledEngineObjects(target: Target): Promise<string[]> {
  return changedObjects("engine-profiled", target, ["image.inc", "profile.inc"])
}

/** Compiles the engine with these files of ours behind its source, and changed as immortal.h and blocks.inc say. */
async function changedObjects(name: string, target: Target, behind: readonly string[]): Promise<string[]> {
  const own = (file: string) => readFileSync(join(fetch, "..", file), "utf8")
  const sources = mkdtempSync(`${engineSources()}-`)
  try {
    cpSync(engineSources(), sources, { recursive: true })
    const path = join(sources, "quickjs.c")
    const engine = withImmortals(withBlocks(readFileSync(path, "utf8"), own("blocks.inc")))
    writeFileSync(path, [own("immortal.h"), engine, ...behind.map(own)].join(""))
    return await objectsOf({ name, sources, flags: flagsFor[target] }, target)
  } finally {
    rmSync(sources, { recursive: true })
  }
}

/** The engine's own functions for memory, in its source: from js_calloc_rt() to js_malloc_usable_size_rt(). */
const MEMORY = /^void \*js_calloc_rt\(.*^size_t js_malloc_usable_size_rt\(.*?^\}\n/ms

/** Returns the engine's source with `blocks` in place of its functions for memory, unless an address sanitizer is to see each block. */
function withBlocks(engine: string, blocks: string): string {
  if (!MEMORY.test(engine)) throw new Error("the engine has other functions for memory")
  return engine.replace(MEMORY, (own) => `#ifdef __SANITIZE_ADDRESS__\n${own}#else\n${blocks}#endif\n`)
}

/** A block's count of references, in the engine's source. */
const COUNT = String.raw`JS_REF_COUNT\(([^()]+)\)`

/** Returns the engine's source that counts as immortal.h says. Throws if it does not count as the engine that this was made for. */
function withImmortals(engine: string): string {
  const up = new RegExp(`${COUNT}\\+\\+`, "g")
  const down = new RegExp(`--${COUNT}|${COUNT}--`, "g")
  if (!up.test(engine) || !down.test(engine)) throw new Error("the engine has another name for counts of references")
  return engine.replaceAll(up, "COUNT_UP($1)").replaceAll(down, "COUNT_DOWN($1$2)")
}
