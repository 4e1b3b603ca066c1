import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { output } from "./run.ts"

/** A system call of a program, by its name and how many of that name came before. */
export interface Point {
  readonly name: string
  /** From 1. */
  readonly nth: number
}

/** Calls that change something, as strace prints them. */
const CHANGES = /^(write\((?!1,)|fdatasync|link|unlink|rename|mkdir|rmdir|chmod|openat\(.*O_CREAT|exit_group)/
const STRACE = ["-qq", "-e", "signal=none"]

/** Runs the program and returns its system calls that change something, in order; `file` is for strace. */
export function changesOf(argv: readonly string[], file: string): Point[] {
  output(["strace", ...STRACE, "-o", file, ...argv])
  const counts = new Map<string, number>()
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      const name = /^\w+(?=\()/.exec(line)?.[0]
      if (name === undefined) return []
      const nth = (counts.get(name) ?? 0) + 1
      counts.set(name, nth)
      return CHANGES.test(line) ? [{ name, nth }] : []
    })
}

/** Runs the program and kills it as it begins that system call. */
export function killAt({ name, nth }: Point, argv: readonly string[]): void {
  const injection = ["-e", `inject=${name}:signal=KILL:when=${nth}`, "-o", "/dev/null"]
  const { signal } = spawnSync("strace", [...STRACE, ...injection, ...argv])
  if (signal !== "SIGKILL") throw new Error(`${argv.join(" ")} survived ${name} ${nth}`)
}
