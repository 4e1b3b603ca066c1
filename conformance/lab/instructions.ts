import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Call, Outcome } from "./call.ts"
import { environment, outcome, stdin } from "./call.ts"
import { binDirectory } from "./executables.ts"
import type { Node } from "./node.ts"
import { output, run } from "./run.ts"

/** What the executable takes of the stack before it begins, and more. */
const STACK = 8 << 20

/**
 * Calls a plugin under valgrind; returns what it answered and how many instructions it executed outside of the kernel: the same number, to a
 * few, however busy the machine is.
 */
export function countInstructions(node: Node, plugin: string, call: Call): { outcome: Outcome; instructions: number } {
  const valgrind = ["valgrind", `--main-stacksize=${STACK}`, "--tool=cachegrind", "--cache-sim=no"]
  const program = join(binDirectory(call.implementation), plugin)
  const log = join(node.dir, "valgrind")
  const argv = node.inside([...valgrind, "--cachegrind-out-file=/dev/null", `--log-file=${log}`, program])
  const finished = run(argv, { env: environment(call), stdin: stdin(call) })
  const [, counted = ""] = /I\s+refs:\s+([\d,]+)/.exec(readFileSync(log, "utf8")) ?? []
  return { outcome: outcome(finished), instructions: Number(counted.replaceAll(",", "")) }
}

/** A shell's own words for the minor page faults of the programs that it has waited for: the 11th field of /proc/PID/stat. */
const COUNT_FAULTS = '"$@" >/dev/null; read -r line </proc/$$/stat; echo "$line"'

/**
 * Calls a plugin and returns the pages that the kernel gave the process on demand, among them some forty of the shell that became it: the same
 * number, to a few, however busy the machine is.
 */
export function countPageFaults(node: Node, plugin: string, call: Call): number {
  const program = join(binDirectory(call.implementation), plugin)
  const counted = output(node.inside(["sh", "-c", COUNT_FAULTS, "sh", program]), {
    env: environment(call),
    stdin: stdin(call),
  })
  return Number(counted.slice(counted.lastIndexOf(")") + 2).split(" ")[8])
}
