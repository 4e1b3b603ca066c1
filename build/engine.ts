import { execFileSync } from "node:child_process"
import { appendFileSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs"
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

/** The engine's objects for `target`: with its parser for `compiler`, without for all others. */
export function engineObjects(target: Target): Promise<string[]> {
  return objectsOf({ name: "engine", sources: engineSources(), flags: flagsFor[target] }, target)
}

/** The engine's objects for profiles: it can say which functions are at work at any moment. */
export function profiledEngineObjects(target: Target): Promise<string[]> {
  const sources = `${engineSources()}-profiled`
  const stack = readFileSync(join(fetch, "../profile.inc"), "utf8")
  const scratch = mkdtempSync(`${sources}-`)
  cpSync(engineSources(), scratch, { recursive: true })
  appendFileSync(join(scratch, "quickjs.c"), stack)
  rmSync(sources, { recursive: true, force: true })
  renameSync(scratch, sources)
  return objectsOf({ name: "engine-profiled", sources, flags: flagsFor[target] }, target)
}
