import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { environment, type Outcome, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Node } from "../lab/node.ts"
import { runAsync } from "../lab/run.ts"
import type { Point } from "./injection.ts"
import type { Step } from "./scene.ts"

/**
 * Runs a call that is stopped as it enters the given system call, until `meanwhile` is done; undefined if it never got there.
 * The main thread alone is traced, as in injection.ts.
 */
export async function interrupted(
  node: Node,
  { plugin, call }: Step,
  { name, nth }: Point,
  meanwhile: () => void,
): Promise<Outcome | undefined> {
  const file = join(node.dir, "stopped.out")
  rmSync(file, { force: true })
  const inject = ["-e", `trace=${name}`, "-e", `inject=${name}:signal=STOP:when=${nth}`]
  const strace = ["timeout", "-s", "KILL", "60", "strace", "-qq", "-o", file, ...inject]
  let ended = false
  const running = runAsync(node.inside([...strace, join(binDirectory(), plugin)]), {
    env: environment(call),
    stdin: stdin(call),
  }).finally(() => {
    ended = true
  })
  while (!ended && !isStopped(file)) await setTimeout(3)
  if (!ended) {
    meanwhile()
    resume(node)
  }
  const finished = outcome(await running)
  const stopped = isStopped(file)
  rmSync(file, { force: true })
  return stopped ? finished : undefined
}

function isStopped(file: string): boolean {
  try {
    return readFileSync(file, "utf8").includes("--- stopped by SIGSTOP ---")
  } catch {
    return false
  }
}

/** Wakes every process on the node, and its children: the program may be in a namespace that has lost its name. */
function resume(node: Node): void {
  for (const pid of node.processes()) for (const each of [pid, ...childrenOf(pid)]) wake(each)
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
