import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** One place where the repository breaks a rule of its own. */
export interface Breach {
  readonly file: string
  readonly line: number
  readonly rule: string
}

export const ROOT = fileURLToPath(new URL("..", import.meta.url))

/** Returns the paths of all files that belong to the repository or are about to, with slashes. */
export function repositoryFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: ROOT })
  return listed
    .toString()
    .split("\n")
    .filter((file) => file !== "" && existsSync(join(ROOT, file)))
}

/** Prints what was found and ends the process with code 1, or says what holds. */
export function report(breaches: readonly Breach[], otherwise: string): void {
  for (const { file, line, rule } of breaches) console.error(`${file}:${line}: ${rule}`)
  if (breaches.length > 0) process.exit(1)
  console.log(otherwise)
}

/** Returns the line, counted from 1, that has the character at `offset`. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length
}
