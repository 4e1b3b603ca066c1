import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"

/** Makes an empty directory that goes with all that is in it when the test that asked for it has ended. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "cni-ts-"))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}
