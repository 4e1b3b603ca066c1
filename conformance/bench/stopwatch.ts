import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Made by scripts/bench from stopwatch.c, which says why Node.js does not start what is measured. */
const STOPWATCH = fileURLToPath(new URL("../../.cache/stopwatch", import.meta.url))

/** In memory, and this run's own: scripts/bench and main.ts see to that. */
const STDIN = "/run/stdin"

/** The cost of a call: milliseconds from the process's start to its end, milliseconds of the processors, and megabytes at its peak. */
export interface Cost {
  readonly wall: number
  readonly cpu: number
  readonly peak: number
}

export interface Program {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  /** What it has to end with; 0 unless given. */
  readonly exitCode?: number
}

/** Runs a program as a runtime does, with pipes, and waits; throws if it ends otherwise than it has to. */
export function timed(program: Program): Cost & { readonly stdout: string } {
  const [measured] = run([program])
  if (!measured) throw new Error(`${program.argv[0]} was not measured`)
  return measured
}

/** What programs took that were begun at once. */
export interface Crowd {
  /** Milliseconds until all have ended. */
  readonly wall: number
  readonly members: readonly (Cost & { readonly stdout: string })[]
}

export function timedAll(programs: readonly Program[]): Crowd {
  const members = run(programs)
  return { wall: Math.max(...members.map(({ started, wall }) => started + wall)), members }
}

/** How the stopwatch is started, which the programs do not notice: in a network namespace, or where this process is. */
let place: readonly [string, string[]] = [STOPWATCH, []]

/** Runs all programs in that network namespace while `body` is at work. */
export function inNamespace<Value>({ path }: { readonly path: string }, body: () => Value): Value {
  const before = place
  place = ["nsenter", [`--net=${path}`, "--", STOPWATCH]]
  try {
    return body()
  } finally {
    place = before
  }
}

function run(programs: readonly Program[]): Report[] {
  const done = spawnSync(...place, { input: programs.map(describe).join(""), maxBuffer: 64 << 20 })
  if (done.error || done.status !== 0) throw new Error(`${STOPWATCH} failed: ${done.stderr}`, { cause: done.error })
  const measured = read(done.stdout)
  for (const [index, { argv, env, exitCode = 0 }] of programs.entries()) {
    const { status, stdout = "" } = measured[index] ?? {}
    if (status !== exitCode << 8)
      throw new Error(`${argv[0]} ${env["CNI_COMMAND"] ?? ""} ended with status ${status}: ${stdout}${done.stderr}`)
  }
  return measured
}

/** A program in the stopwatch's terms. */
function describe({ argv, env, stdin }: Program, index: number): string {
  const path = `${STDIN}.${index}`
  writeFileSync(path, stdin)
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return [path, argv.length, ...argv, variables.length, ...variables].map((text) => `${text}\0`).join("")
}

/** What the stopwatch tells of a program; it was started so many milliseconds after the first one. */
interface Report extends Cost {
  readonly started: number
  readonly stdout: string
  readonly status: number
}

function read(report: Buffer): Report[] {
  const measured: Report[] = []
  for (let at = 0; at < report.length; ) {
    const end = report.indexOf("\n", at) + 1
    const [started = 0, wall = 0, cpu = 0, peak = 0, status = 0, length = 0] = report
      .subarray(at, end)
      .toString()
      .split(" ")
      .map(Number)
    at = end + length
    const stdout = report.subarray(end, at).toString()
    measured.push({
      started: started / 1e6,
      wall: wall / 1e6,
      cpu: cpu / 1e3,
      peak: (peak * 1024) / 1e6,
      status,
      stdout,
    })
  }
  return measured
}
