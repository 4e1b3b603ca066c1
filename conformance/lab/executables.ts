import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** The executables that answer: this repository's, or the Go reference that scripts/setup installs. */
export type Implementation = "ours" | "reference"

const ROOT = resolve(fileURLToPath(import.meta.url), "../../..")

/** Runs every test against other executables than those `npm run build` leaves. */
const { CNI_TS_BIN } = process.env

const DIRECTORIES: Readonly<Record<Implementation, string>> = {
  ours: CNI_TS_BIN ?? join(ROOT, "dist/bin"),
  reference: join(ROOT, ".cache/go-bin"),
}

/** Returns CNI_PATH of a node that has this implementation installed. */
export function binDirectory(implementation: Implementation = "ours"): string {
  return DIRECTORIES[implementation]
}

export const CNITOOL = join(DIRECTORIES.reference, "cnitool")
