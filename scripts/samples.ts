import { spawnSync } from "node:child_process"
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeExecutable } from "../build/executable.ts"
import { ownArchitecture } from "../build/toolchain.ts"

const directory = join(fileURLToPath(import.meta.url), "../../.cache/profile")

/** Milliseconds between two samples: INTERVAL of lib/sys/native/profile.c. */
export const INTERVAL = 0.25

/** The functions that were at work at one moment, the innermost first, `()` behind those in C. */
export type Stack = readonly string[]

export interface Call {
  readonly stdin: string | Uint8Array
  readonly env: NodeJS.ProcessEnv
}

export interface Sampled {
  readonly stdout: string
  readonly stacks: readonly Stack[]
}

/** Makes the executable whose functions are sampled, under a plugin's name, and returns its path. */
export async function profiledExecutable(plugin: string): Promise<string> {
  const program = join(directory, plugin)
  mkdirSync(directory, { recursive: true })
  await makeExecutable(ownArchitecture(), program, { profile: true })
  return program
}

/** Runs a call and returns what was at work at each of its moments. Throws if it fails. */
export function sampled(program: string, { stdin, env }: Call): Sampled {
  const samples = join(directory, "samples")
  const file = openSync(samples, "w")
  const stdio = ["pipe", "pipe", "inherit", ...Array<"ignore">(6).fill("ignore"), file] as const
  const { status, stdout } = spawnSync(program, { input: stdin, env, stdio: [...stdio], encoding: "utf8" })
  closeSync(file)
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stdout}`)
  const stacks = readFileSync(samples, "utf8").split("\n\n")
  return { stdout, stacks: stacks.map((stack) => stack.split("\n").filter((name) => name !== "")).filter(hasLength) }
}

function hasLength({ length }: Stack): boolean {
  return length > 0
}

/** Returns a table of the functions that take most of the time, in microseconds of a call. */
export function functions(stacks: readonly Stack[], runs: number): string {
  const [own, all] = [new Map<string, number>(), new Map<string, number>()]
  const share = (1000 * INTERVAL) / runs
  const add = (sums: Map<string, number>, name: string) => sums.set(name, (sums.get(name) ?? 0) + share)
  for (const stack of stacks) {
    for (const name of new Set(stack)) add(all, name)
    add(own, stack[0] ?? "?")
  }
  const names = [...all.keys()].sort((a, b) => (own.get(b) ?? 0) - (own.get(a) ?? 0))
  const line = (name: string) => `${Math.round(own.get(name) ?? 0)}\t${Math.round(all.get(name) ?? 0)}\t${name}`
  return ["own us\twith callees\tfunction", ...names.slice(0, 40).map(line)].join("\n")
}
