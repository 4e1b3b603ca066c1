import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process"

/** Far above what anything here takes: only a program that hangs is stopped by it. */
const TIME_LIMIT = 120_000
const OUTPUT_LIMIT = 256 << 20

/**
 * Runs a script. Where stdin is a socket, which is what Node.js makes it, bash believes to be called from afar and would read
 * ~/.bashrc if it were not told not to.
 */
export const BASH = ["bash", "--norc", "-c"] as const

export interface Input {
  readonly stdin?: string | Uint8Array
  /** The whole environment; without it, this process's own. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Finished {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; throws only if it could not be started, hung, or died of a signal. */
export function run(argv: readonly string[], input: Input = {}): Finished {
  const [program = "", ...args] = argv
  const done: SpawnSyncReturns<string> = spawnSync(program, args, {
    input: input.stdin ?? "",
    ...(input.env && { env: { ...input.env } }),
    encoding: "utf8",
    timeout: TIME_LIMIT,
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_LIMIT,
  })
  // A program that ends without reading its stdin is not a failure.
  if (done.error && !isBrokenPipe(done.error)) throw new Error(`cannot run ${argv.join(" ")}`, { cause: done.error })
  if (done.status === null) throw new Error(`${argv.join(" ")} died of ${done.signal}: ${done.stderr}`)
  return { exitCode: done.status, stdout: done.stdout, stderr: done.stderr }
}

/** As `run`, without blocking: for calls that have to overlap. */
export function runAsync(argv: readonly string[], input: Input = {}): Promise<Finished> {
  const [program = "", ...args] = argv
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...(input.env && { env: { ...input.env } }),
      timeout: TIME_LIMIT,
      killSignal: "SIGKILL",
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    child.on("close", (exitCode, signal) => {
      if (exitCode === null) reject(new Error(`${argv.join(" ")} died of ${signal}: ${stderr}`))
      else resolve({ exitCode, stdout, stderr })
    })
    child.stdin.on("error", (error) => {
      if (!isBrokenPipe(error)) reject(error)
    })
    child.stdin.end(input.stdin ?? "")
  })
}

/** The stdout of a program that must succeed. */
export function output(argv: readonly string[], input: Input = {}): string {
  const done = run(argv, input)
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")} exited with ${done.exitCode}: ${done.stderr}`)
  return done.stdout
}

function isBrokenPipe(error: NodeJS.ErrnoException): boolean {
  return error.code === "EPIPE" || error.code === "ECONNRESET"
}
