import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Call, environment, type Outcome, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"

/** A system call of the main thread, by its name and how many of that name came before: what strace's injection counts. */
export interface Point {
  readonly name: string
  /** From 1. */
  readonly nth: number
}

/** An event in place of a system call, in strace's words, such as `signal=KILL` or `error=EIO`. */
export interface Fault extends Point {
  readonly happens: string
}

/** The calls of the process for itself: none reaches anything outside it, or fails on any kernel. Its birth is one of them. */
const RUNTIME = /^(execve|arch_prctl|set_tid_address|munmap|rt_sig\w+|fcntl|getpid|clock_gettime)$/

/** Calls that may change something outside the process, as strace prints them: not those that only ask or read. */
const CHANGES =
  /^(send\w+\((?!.*nlmsg_type=(RTM_GET|0x\w*[26ae]\b))|write|link|symlink|unlink|rename|mkdir|utimens|ftruncate|bind|connect|ioctl\((?!\d+, SIOCG)|exit_group|openat?\(.*O_CREAT)/

export interface Noted extends Point {
  /** If it may change something, so that the node had its state just before it at no time earlier. */
  readonly changes: boolean
  /** If it is a request that the kernel answers whatever it is: netfilter says nothing to one that is too short to be any. */
  readonly answered: boolean
}

/** The part of a call that is disturbed: all that it asks the kernel for, or the requests that change something in it. */
export type Extent = "everything" | "requests"

export function isWithin(extent: Extent): (point: Noted) => boolean {
  return ({ changes, name }) => extent === "everything" || (changes && name === "sendto")
}

export interface Observed {
  readonly outcome: Outcome
  /** The number of calls before stdin is read. */
  readonly prelude: number
  /** Those of them that may change something: there must be none. */
  readonly early: readonly string[]
  /** All calls but the process's own. */
  readonly points: readonly Noted[]
}

/** Runs a call to its end and notes what the main thread asks the kernel for. */
export function observe(node: Node, plugin: string, call: Call): Observed {
  const file = join(node.dir, "strace.out")
  const finished = run(straced(node, plugin, ["-o", file]), { env: environment(call), stdin: stdin(call) })
  const lines = readFileSync(file, "utf8").split("\n")
  const start = lines.findIndex((line) => line.startsWith("read(0,"))
  const counts = new Map<string, number>()
  const points = lines.flatMap((line) => {
    const name = /^\w+(?=\()/.exec(line)?.[0]
    if (name === undefined) return []
    const nth = (counts.get(name) ?? 0) + 1
    counts.set(name, nth)
    return RUNTIME.test(name)
      ? []
      : [{ name, nth, changes: CHANGES.test(line), answered: line.includes("nlmsg_type=RTM_") }]
  })
  run(["rm", "-f", file])
  return {
    outcome: outcome(finished),
    prelude: start,
    early: lines.slice(0, start).filter((line) => CHANGES.test(line)),
    points,
  }
}

/** Runs a call with a fault; `undefined` if it was killed, be it for taking a minute. */
export function disturb(node: Node, plugin: string, call: Call, { name, nth, happens }: Fault): Outcome | undefined {
  const inject = ["-o", "/dev/null", "-e", `trace=${name}`, "-e", `inject=${name}:${happens}:when=${nth}`]
  const finished = run(straced(node, plugin, inject), { env: environment(call), stdin: stdin(call) })
  return finished.exitCode === 137 ? undefined : outcome(finished)
}

/** Without -f, strace follows the main thread alone, and that does everything: counts are the same each time. */
function straced(node: Node, plugin: string, options: readonly string[]): string[] {
  const limited = ["timeout", "-s", "KILL", "60", "strace", "-qq", ...options, join(binDirectory(), plugin)]
  // The shell survives its child and says how it ended: 137 for SIGKILL.
  return node.inside(["sh", "-c", '"$@"; exit $?', "sh", ...limited])
}
