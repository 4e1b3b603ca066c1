import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { output } from "../lab/run.ts"

/** A ring of events of the kernel's that is this process's own. */
const TRACING = "/sys/kernel/tracing"
const OWN = `${TRACING}/instances/cni-ts-bench-${process.pid}`
const KIB_PER_CPU = 16_384

/**
 * Returns for how much of the time, while `work` went on, somebody waited for the RTNL lock, which only one thread of the machine can have: so
 * long at least it was held. Undefined if the kernel does not tell of locks that are waited for (Linux 5.19 and later can).
 */
export function shareOfRtnl(work: () => { readonly wall: number }): number | undefined {
  if (!existsSync(`${TRACING}/events/lock/contention_begin`)) output(["mount", "-t", "tracefs", "tracefs", TRACING])
  if (!existsSync(`${TRACING}/events/lock/contention_begin`)) return undefined
  mkdirSync(OWN)
  try {
    writeFileSync(`${OWN}/buffer_size_kb`, `${KIB_PER_CPU}`)
    writeFileSync(`${OWN}/options/stacktrace`, "1")
    for (const event of ["contention_begin", "contention_end"]) writeFileSync(`${OWN}/events/lock/${event}/enable`, "1")
    const { wall } = work()
    writeFileSync(`${OWN}/tracing_on`, "0")
    return (100_000 * covered(waitsForRtnl(readFileSync(`${OWN}/trace`, "utf8")))) / wall
  } finally {
    rmdirSync(OWN)
  }
}

/** A time in which somebody waited, in seconds. */
type Wait = readonly [from: number, to: number]

/** Reads the waits for the RTNL lock: the one that the kernel's rtnetlink waited for, as the stack of somebody who began to wait shows. */
export function waitsForRtnl(trace: string): Wait[] {
  const waits: [lock: string, wait: Wait][] = []
  const began = new Map<string, number>()
  const locks = new Set<string>()
  let waiting = ""
  for (const line of trace.split("\n")) {
    const [, task = "", time = "", event, lock = ""] =
      /^ *(\S.*-\d+) +\[\d+\] \S+ +([\d.]+): contention_(begin|end): (\S+)/.exec(line) ?? []
    const key = `${task} ${lock}`
    if (event === "begin") began.set(key, Number(time))
    if (event) waiting = event === "begin" ? lock : ""
    if (waiting && /=> (rtnl|rtnetlink)_/.test(line)) locks.add(waiting)
    if (event !== "end") continue
    waits.push([lock, [began.get(key) ?? Number(time), Number(time)]])
    began.delete(key)
  }
  return waits.filter(([lock]) => locks.has(lock)).map(([, wait]) => wait)
}

/** Returns how long it is in all that one or more of them last. */
export function covered(waits: readonly Wait[]): number {
  let [sum, until] = [0, 0]
  for (const [from, to] of [...waits].sort(([a], [b]) => a - b)) {
    sum += Math.max(0, to - Math.max(from, until))
    until = Math.max(until, to)
  }
  return sum
}
