import { readFileSync } from "node:fs"
import type { Outcome } from "./call.ts"

export interface SystemCall {
  readonly pid: number
  readonly name: string
  readonly args: string
  readonly result: string
}

export interface Trace {
  readonly outcome: Outcome
  /** In the order in which they were begun. */
  readonly calls: readonly SystemCall[]
  /** Programs executed, the plugin itself first. */
  readonly programs: readonly string[]
  /** Processes (not threads) that the plugin created. */
  readonly processes: number
}

/** Reads what `strace -f -o FILE` wrote. */
export function parseTrace(file: string): Omit<Trace, "outcome"> {
  // A call the kernel restarts by itself, as a write to a sysctl while others change links, counts once.
  const calls = joinInterrupted(readFileSync(file, "utf8").split("\n")).filter(({ result }) => !/ERESTART/.test(result))
  const executed = calls.filter((call) => call.name.startsWith("execve") && call.result === "0")
  const forks = calls.filter((call) => /^(v?fork|clone3?)$/.test(call.name) && !call.args.includes("CLONE_THREAD"))
  return {
    calls,
    programs: executed.map((call) => /"([^"]*)"/.exec(call.args)?.[1] ?? call.args),
    processes: forks.length,
  }
}

const LINE = /^(\d+) +(\w+)\((.*)$/
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>(.*)$/
const UNFINISHED = / <unfinished \.\.\.>$/

/** A call during which another thread ran is printed as two lines; a call that never returned has no result. */
function joinInterrupted(lines: readonly string[]): SystemCall[] {
  const begun: { pid: number; name: string; text: string }[] = []
  for (const line of lines) {
    const resumed = RESUMED.exec(line)
    const [, pid, name = "", text = ""] = resumed ?? LINE.exec(line) ?? []
    if (pid === undefined) continue
    const open = resumed && begun.findLast((call) => call.pid === Number(pid) && UNFINISHED.test(call.text))
    if (open) open.text = open.text.replace(UNFINISHED, "") + text
    else begun.push({ pid: Number(pid), name, text })
  }
  return begun.map(({ pid, name, text }) => {
    const end = text.lastIndexOf(" = ")
    const whole = end < 0 ? text : text.slice(0, end)
    const args = whole.replace(/ *(<unfinished \.\.\.>)? *\)? *$/, "")
    return { pid, name, args, result: end < 0 ? "?" : text.slice(end + 3) }
  })
}
