import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { environment, type Outcome, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Node } from "../lab/node.ts"
import { runAsync } from "../lab/run.ts"
import type { Point } from "./injection.ts"
import type { Step } from "./scene.ts"

/** A call that was started, and is stopped unless it never came so far. */
export interface Stopped {
  readonly isStopped: boolean
  /** Lets it go on, and waits for its end. */
  finish(): Promise<Outcome>
}

let started = 0

/**
 * Starts a call that is to be stopped as it enters the given system call, and returns when it is, or has ended, or `waits`. The main thread alone
 * is traced, as in injection.ts.
 */
export async function stopAt(
  node: Node,
  { plugin, call }: Step,
  { name, nth }: Point,
  waits: () => boolean = () => false,
): Promise<Stopped> {
  const file = join(node.dir, `stopped${++started}.out`)
  const inject = ["-e", `trace=${name}`, "-e", `inject=${name}:signal=STOP:when=${nth}`]
  const strace = ["timeout", "-s", "KILL", "60", "strace", "-qq", "-o", file, ...inject]
  let ended = false
  const running = runAsync(node.inside([...strace, join(binDirectory(), plugin)]), {
    env: environment(call),
    stdin: stdin(call),
  }).finally(() => {
    ended = true
  })
  while (!ended && !isStopped(file) && !waits()) await setTimeout(3)
  // Its children too: the program may be in a namespace that loses its name.
  const processes = node.processes().flatMap((pid) => [pid, ...childrenOf(pid)])
  return {
    isStopped: isStopped(file),
    async finish() {
      while (!ended) {
        for (const pid of processes) wake(pid) // again and again: one that waited may be stopped only now
        await setTimeout(3)
      }
      const finished = outcome(await running)
      rmSync(file, { force: true })
      return finished
    },
  }
}

/** Runs a call that is stopped as it enters the given system call, until `meanwhile` is done; undefined if it never got there. */
export async function interrupted(
  node: Node,
  step: Step,
  point: Point,
  meanwhile: () => void,
): Promise<Outcome | undefined> {
  const call = await stopAt(node, step, point)
  let finished: Outcome
  try {
    if (call.isStopped) meanwhile()
  } finally {
    finished = await call.finish()
  }
  return call.isStopped ? finished : undefined
}

function isStopped(file: string): boolean {
  try {
    return readFileSync(file, "utf8").includes("--- stopped by SIGSTOP ---")
  } catch {
    return false
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number)
  } catch {
    return [] // it ended meanwhile
  }
}

function wake(pid: number): void {
  try {
    process.kill(pid, "SIGCONT")
  } catch {} // it ended meanwhile
}
