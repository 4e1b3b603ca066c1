import { type Errno, errnoName } from "./errno.ts"
import { fileStatus, readAll, S_IFREG, sameFile, unlessMissing, writeAll } from "./file.ts"
import { libc } from "./libc.ts"
import { SystemError } from "./system-error.ts"

/** The name this executable was started under: the name of its hard link. */
export function programName(): string {
  const path = process.argv0 || process.execPath
  return path.slice(path.lastIndexOf("/") + 1)
}

export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env
}

export function readStdin(): Uint8Array {
  return readAll(0, "stdin")
}

export function writeStdout(text: string): void {
  writeAll(1, new TextEncoder().encode(text), "stdout")
}

/** Best effort: what cannot be written to stderr is lost. */
export function writeStderr(text: string | Uint8Array): void {
  try {
    writeAll(2, typeof text === "string" ? new TextEncoder().encode(text) : text, "stderr")
  } catch {}
}

/** Ends the process at once, without the runtime's own clean-up, which would only cost time. */
export function exit(status: number): void {
  libc._exit(status)
}

/** The first regular file of that name in the directories, or undefined. */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => `${directory}/${name}`).find(isRegularFile)
}

function isRegularFile(path: string): boolean {
  try {
    return fileStatus(path).type === S_IFREG
  } catch {
    return false
  }
}

/** Whether `path` is the very executable that runs now, be it under another name. */
export function isThisExecutable(path: string): boolean {
  const other = unlessMissing(() => fileStatus(path))
  return other !== undefined && sameFile(other, fileStatus("/proc/self/exe"))
}

/** How a process that was waited for ended. */
export interface Outcome {
  /** Null where a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | number | undefined
  /** Whether it was killed, with all processes it had started, because it took too long. */
  readonly timedOut: boolean
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

/** Tries to start an executable that is being written ("text file busy") before giving up, a second apart. */
const BUSY_TRIES = 6

export interface Input {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: Uint8Array
  /** Seconds after which it is killed. */
  readonly patience: number
}

/** Runs an executable to its end in this process's namespaces, in a session of its own. Throws when it cannot be started. */
export function runExecutable(path: string, { env, stdin, patience }: Input): Outcome {
  for (let attempt = 1; ; attempt++) {
    try {
      const { pid, exitCode, signalCode, stdout, stderr, exitedDueToTimeout } = Bun.spawnSync([path], {
        env: { ...env },
        stdin,
        stdout: "pipe",
        stderr: "pipe",
        detached: true,
        timeout: patience * 1000,
        killSignal: "SIGKILL",
      })
      if (exitedDueToTimeout) killGroup(pid)
      return { exitCode, signal: signalCode, stdout, stderr, timedOut: exitedDueToTimeout ?? false }
    } catch (error) {
      const errno = errnoOf(error)
      if (errno !== "ETXTBSY" || attempt === BUSY_TRIES) throw errno ? new SystemError(errno, `start ${path}`) : error
      Bun.sleepSync(1000)
    }
  }
}

/** What a killed process started goes too. There may be nothing left. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL")
  } catch {}
}

/** The number that Bun's own errors carry, negated as in libuv. */
function errnoOf(error: unknown): Errno | undefined {
  const number = error instanceof Error && "errno" in error ? Number(error.errno) : 0
  return number === 0 ? undefined : errnoName(Math.abs(number))
}
