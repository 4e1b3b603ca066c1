import { linkSync, mkdirSync, rmSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { makeExecutable } from "../../build/executable.ts"
import { pluginNames } from "../../build/names.ts"

/** The directory of the executables that vitest's project `sanitized` tests: its CNI_TS_BIN. */
export const SANITIZED = resolve(fileURLToPath(import.meta.url), "../../../.cache/sanitized")

/** Vitest calls this before the first test: makes the executables, with AddressSanitizer and UndefinedBehaviorSanitizer. */
export async function setup(): Promise<void> {
  rmSync(SANITIZED, { recursive: true, force: true })
  mkdirSync(SANITIZED, { recursive: true })
  const [first = "", ...others] = pluginNames.map((name) => join(SANITIZED, name))
  await makeExecutable("sanitized", first)
  for (const other of others) linkSync(first, other)
}
