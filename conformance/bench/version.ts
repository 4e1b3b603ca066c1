import { writeFileSync } from "node:fs"
import type { Implementation } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { type Rows, record } from "./rows.ts"
import { type Options, repeat, turn } from "./runs.ts"
import { type Cost, timed } from "./stopwatch.ts"

const SIDES = ["reference", "ours"] as const

function version(dir: string, implementation: Implementation): Cost {
  return timed({ argv: [`${dir}/${implementation}/bridge`], env: { CNI_COMMAND: "VERSION" }, stdin: "{}" })
}

export function measureVersion(rows: Rows, { dir, runs }: Options): void {
  repeat(rows, runs, (target, run) => {
    for (const side of turn(SIDES, run)) record(target, "VERSION", side, version(dir, side))
    record(target, "VERSION", "floor", timed({ argv: ["/bin/true"], env: {}, stdin: "" }))
  })
}

/** As after a boot: before each call everything leaves the page cache that no running process has mapped. */
export function measureColdVersion(rows: Rows, { dir, runs }: Options): void {
  output(["sync"]) // what is not on the disk yet would stay
  repeat(rows, runs, (target, run) => {
    for (const side of turn(SIDES, run)) {
      writeFileSync("/proc/sys/vm/drop_caches", "3")
      record(target, "VERSION, nothing in the page cache", side, version(dir, side))
    }
  })
}
