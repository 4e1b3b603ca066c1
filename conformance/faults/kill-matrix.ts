import { setImmediate } from "node:timers/promises"
import type { Outcome, Result } from "../lab/call.ts"
import { differences } from "./differences.ts"
import { disturb, type Extent, isWithin, type Noted, observe, type Point } from "./injection.ts"
import { Scene, type Verb } from "./scene.ts"
import type { Subject } from "./subjects.ts"

/** The calls that a killed one is followed by. */
const RECOVERIES = ["DEL", "ADD and DEL", "GC"] as const
type Recovery = (typeof RECOVERIES)[number]

export interface Tally {
  /** System calls at which the process was killed. */
  points: number
  kills: number
  failures: string[]
}

/**
 * Kills each plugin's call at each of its system calls. Where the call is one that may change something, so that the node has a state that
 * it had at no point before, each recovery is tried; in between one of them, by turns. Of the kernel's requests alone, one of them, too.
 */
export async function killEverywhere(subject: Subject, verb: Verb, extent: Extent = "everything"): Promise<Tally> {
  const tally: Tally = { points: 0, kills: 0, failures: [] }
  let scene = new Scene(subject)
  try {
    for (const position of scene.positions(verb)) {
      for (const point of whereToKill(scene, verb, position).filter(isWithin(extent))) {
        let reached = false
        for (const recovery of point.changes && extent === "everything" ? RECOVERIES : byTurns(tally.points)) {
          if (!kill(scene, verb, position, point)) break
          reached = true
          tally.kills++
          const problems = recover(scene, verb, recovery)
          await setImmediate() // lets the test runner hear from us
          if (problems.length === 0) continue
          tally.failures.push(`killed at ${point.name} ${point.nth}, then ${recovery}: ${problems.join("; ")}`)
          scene[Symbol.dispose]()
          scene = new Scene(subject)
        }
        if (reached) tally.points++
      }
    }
    tally.failures.push(...scene.harmToOther())
  } finally {
    scene[Symbol.dispose]()
  }
  return tally
}

function byTurns(count: number): Recovery[] {
  return RECOVERIES.filter((_, index) => index === count % RECOVERIES.length)
}

/** Every system call of the plugin's own. The runtime's looks at its memory shift the counts a little, hence one more of each name. */
function whereToKill(scene: Scene, verb: Verb, position: number): Noted[] {
  const { plugin, call } = scene.prepare(verb, position)
  const { points } = observe(scene.node, plugin, call)
  scene.mustSucceed("DEL")
  const last = new Map(points.map(({ name, nth }) => [name, nth]))
  return [...points, ...[...last].map(([name, nth]) => ({ name, nth: nth + 1, changes: false, answered: false }))]
}

/** False if the call ended before; its traces are removed then. */
function kill(scene: Scene, verb: Verb, position: number, point: Point): boolean {
  const { plugin, call } = scene.prepare(verb, position)
  const outcome = disturb(scene.node, plugin, call, { ...point, happens: "signal=KILL" })
  if (outcome) scene.mustSucceed("DEL")
  return outcome === undefined
}

function recover(scene: Scene, verb: Verb, recovery: Recovery): string[] {
  const problems = recovery === "ADD and DEL" ? repeat(scene, verb) : scene.failuresOf(recovery)
  if (recovery === "GC" && scene.subject.livesInPod) scene.pod.run("ip", "link", "del", "eth0")
  if (recovery === "GC" && scene.subject.givesDevice) problems.push(...scene.failuresOf("DEL"))
  const after = scene.observe()
  if (recovery !== "GC" || scene.subject.givesDevice) return [...problems, ...differences(scene.untouched, after)]
  // What is in the pod goes with it.
  const { [scene.pod.name]: _, ...pods } = scene.untouched.pods
  const { [scene.pod.name]: _pod, ...podsAfter } = after.pods
  return [
    ...problems,
    ...differences({ ...scene.untouched, pods }, { ...after, pods: podsAfter }),
    ...scene.failuresOf("DEL"),
  ]
}

/** ADD once more, as a runtime does that lost the answer. */
function repeat(scene: Scene, verb: Verb): string[] {
  const { failed, result } = scene.attach()
  const problems = failed ? refused(scene, verb, failed) : usable(scene, result)
  return [...problems, ...scene.failuresOf("DEL", result)]
}

/**
 * An ADD that was killed when all was done but for the answer stands: it is a second one that is refused. So is one in the midst of a DEL,
 * as long as the interface is there.
 */
function refused(scene: Scene, verb: Verb, { error, stdout }: Outcome): string[] {
  const stands = verb === "DEL" || scene.subject.repeats === false || reaches(scene)
  return stands && error?.code === 102 ? [] : [`repeated ADD: ${stdout}`]
}

function usable(scene: Scene, result: Result | undefined): string[] {
  return [...scene.failuresOf("CHECK", result), ...(reaches(scene) ? [] : ["the pod reaches nobody"])]
}

function reaches({ subject, pod }: Scene): boolean {
  return subject.reaches === undefined || pod.pings(subject.reaches)
}
