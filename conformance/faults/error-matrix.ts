import { setImmediate } from "node:timers/promises"
import type { Outcome } from "../lab/call.ts"
import { differences } from "./differences.ts"
import { disturb, type Extent, isWithin, type Noted, observe } from "./injection.ts"
import { Scene, type Step, type Verb } from "./scene.ts"
import type { Subject } from "./subjects.ts"

export interface Tally {
  points: number
  faults: number
  /** Calls that failed: the others succeeded in spite of the fault. */
  errors: number
  failures: string[]
}

/**
 * The errors that fit each call. A call that changes nothing fails with one of them, by turns; any other with each, and so does one that brings
 * the answer to a change.
 */
const FITTING: Readonly<Record<string, readonly string[]>> = {
  brk: ["ENOMEM"],
  close: ["EIO", "EINTR"],
  connect: ["ENOMEM", "EAGAIN"],
  fdatasync: ["EIO", "ENOSPC"],
  flock: ["EINTR", "ENOMEM"],
  fstat: ["EIO", "ENOMEM"],
  ftruncate: ["EIO", "EPERM", "EINTR"],
  getdents64: ["EIO", "ENOMEM"],
  getrandom: ["EINTR"],
  getsockopt: ["ENOPROTOOPT", "ENOMEM"],
  ioctl: ["EBUSY", "ENOMEM", "EPERM"],
  link: ["ENOSPC", "EIO", "EPERM", "ENOMEM"],
  lseek: ["EIO"],
  mkdir: ["ENOSPC", "EIO", "EPERM"],
  mmap: ["ENOMEM"],
  mremap: ["ENOMEM"],
  open: ["EIO", "ENOMEM", "EPERM", "EINTR"],
  openat: ["EIO", "ENOSPC", "ENOMEM", "EPERM", "EINTR"],
  poll: ["EINTR", "ENOMEM"],
  pread64: ["EIO", "EINTR"],
  read: ["EIO", "EINTR", "ENOMEM"],
  prlimit64: ["EPERM"],
  readlink: ["EIO", "ENOMEM", "EPERM"],
  recvfrom: ["ENOMEM", "EINTR"],
  rename: ["ENOSPC", "EIO", "EBUSY"],
  sendto: ["ENOMEM", "EPERM"],
  sigaltstack: ["ENOMEM"],
  setns: ["EPERM", "ENOMEM"],
  setsockopt: ["ENOMEM", "EPERM"],
  socket: ["ENOMEM", "EPERM"],
  stat: ["EIO", "ENOMEM", "EPERM"],
  statfs: ["EIO"],
  statx: ["EIO", "ENOMEM", "EPERM"],
  unlink: ["EIO", "EBUSY", "EPERM"],
  utimensat: ["EPERM", "EIO"],
  write: ["ENOSPC", "EIO", "EINTR", "EPERM"],
}

/** The kernel gets another request than the plugin sent, one that nobody knows: it refuses it, after having done nothing. */
const REFUSED = "poke_enter=@arg2=10000000f0ff"

/** Makes each system call of the plugins' calls fail in turn, once, with what fits; or each request that changes something in the kernel. */
export async function failEverywhere(subject: Subject, verb: Verb, extent: Extent = "everything"): Promise<Tally> {
  const tally: Tally = { points: 0, faults: 0, errors: 0, failures: [] }
  let scene = new Scene(subject)
  try {
    for (const position of scene.positions(verb)) {
      for (const point of whereToFail(scene, verb, position).filter(isWithin(extent))) {
        tally.points++
        for (const happens of faultsOf(point, tally.points, extent)) {
          tally.faults++
          const problems = fail(scene, { verb, position, point, happens }, tally)
          await setImmediate() // lets the test runner hear from us
          if (problems.length === 0) continue
          tally.failures.push(`${point.name} ${point.nth}, ${happens}: ${problems.join("; ")}`)
          scene[Symbol.dispose]()
          scene = new Scene(subject)
        }
      }
      tally.failures.push(...scene.remove())
    }
    tally.failures.push(...scene.harmToOther())
  } finally {
    scene[Symbol.dispose]()
  }
  return tally
}

function whereToFail(scene: Scene, verb: Verb, position: number): readonly Noted[] {
  const { plugin, call } = scene.prepare(verb, position)
  const { points } = observe(scene.node, plugin, call)
  scene.mustSucceed("DEL")
  return points.filter(({ name }) => name !== "exit_group")
}

function faultsOf({ name, changes, answered }: Noted, turn: number, extent: Extent): string[] {
  const errnos = FITTING[name]
  if (!errnos) throw new Error(`what can ${name} fail with?`)
  const faults = errnos.map((errno) => `error=${errno}`)
  if (answered) faults.push(REFUSED)
  const all = extent === "everything" && (changes || name === "recvfrom")
  return all ? faults : faults.filter((_, index) => index === turn % faults.length)
}

interface Failing {
  readonly verb: Verb
  readonly position: number
  readonly point: Noted
  readonly happens: string
}

function fail(scene: Scene, { verb, position, point, happens }: Failing, tally: Tally): string[] {
  const behind = verb === "ADD" && position > 0
  const { step, before } = behind
    ? scene.prepareBehind(position)
    : { step: scene.prepare(verb, position), before: scene.untouched }
  const outcome = disturb(scene.node, step.plugin, step.call, { ...point, happens })
  if (!outcome) return ["no answer within a minute"]
  const failed = outcome.exitCode !== 0
  if (failed) tally.errors++
  const problems = answerProblems(verb, outcome)
  if (verb === "DEL" || !failed) return [...problems, ...scene.remove(outcome.result)]
  // An ADD that failed has left nothing, whichever plugin's it was: a DEL then finds nothing to do.
  const leavesBridge = position === 0 && isUndelivered(outcome)
  problems.push(...differences(before, leavesBridge ? scene.observe() : scene.observeAround()))
  return [...problems, ...scene.failuresOfSteps(behind ? [delOf(step)] : scene.steps("DEL"))]
}

/** The DEL after an ADD that failed. */
function delOf({ plugin, call }: Step): Step {
  return { plugin, call: { ...call, command: "DEL" } }
}

/** If all was done, but for the result's being handed over: that is taken back as by DEL, which leaves the bridge. */
function isUndelivered({ error }: Outcome): boolean {
  return error?.msg.includes("stdout") === true
}

function answerProblems(verb: Verb, { exitCode, stdout, result, error }: Outcome): string[] {
  const said = `exit code ${exitCode} and ${JSON.stringify(stdout)}`
  if (exitCode === 0) return verb === "ADD" ? (result ? [] : [said]) : stdout === "" ? [] : [said]
  const whole = exitCode === 1 && typeof error?.code === "number" && error.code > 0 && error.msg !== "" && error.details
  return whole ? [] : [said]
}
