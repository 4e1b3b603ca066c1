import { readLink, writeAll } from "./file.ts"
import { fileStatus, S_IFREG } from "./file-status.ts"
import { type Ended, host } from "./host.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"

/** The name this executable was started under, without directories. */
export function programName(): string {
  const [path = ""] = host.arguments()
  return path.slice(path.lastIndexOf("/") + 1)
}

/** Returns the arguments that follow the name. */
export function programArguments(): string[] {
  return host.arguments().slice(1)
}

/** Returns the path of the file that this process executes. */
export function executablePath(): string {
  return readLink("/proc/self/exe")
}

/** The variables of the environment. */
export type Variables = Readonly<Record<string, string | undefined>>

let variables: Variables | undefined

/** Returns all of them, asked for once: a log of netlink messages names some with each. */
export function environment(): Variables {
  variables ??= host.environment()
  return variables
}

/** Returns one variable of the environment, for which the others need not be looked at. */
export function variable(name: string): string | undefined {
  return host.variable(name)
}

export function writeStdout(text: string): void {
  writeAll(1, host.encode(text), "stdout")
}

/** Best effort: what cannot be written to stderr is lost. */
export function writeStderr(text: string | Uint8Array): void {
  try {
    writeAll(2, typeof text === "string" ? host.encode(text) : text, "stderr")
  } catch {}
}

/** Ends the process at once. */
export function exit(status: number): never {
  host.exit(status)
}

/**
 * Returns the first regular file of that name in the directories, or undefined. Throws SystemError if one that could not be examined may be
 * it.
 */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  let unknown: SystemError | undefined
  for (const directory of directories) {
    const path = `${directory}/${name}`
    try {
      if (fileStatus(path).type === S_IFREG) return path
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      if (!failedWith(error, "ENOENT", "ENOTDIR")) unknown ??= error
    }
  }
  if (unknown) throw unknown
  return undefined
}

/** Tries to start an executable that is being written ("text file busy") before giving up, a second apart. */
const BUSY_TRIES = 6

export interface Input {
  readonly env: Variables
  readonly stdin: Uint8Array
  /** The executable is killed after that time. */
  readonly timeoutSeconds: number
}

/** Runs an executable to its end in this process's namespaces, in a session of its own. Throws SystemError if it cannot be started. */
export function runExecutable(path: string, { env, stdin, timeoutSeconds }: Input): Ended {
  const entries = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  for (let attempt = 1; ; attempt++) {
    try {
      return checked(`start ${path}`, host.spawn(path, entries, stdin, timeoutSeconds * 1000))
    } catch (error) {
      if (!failedWith(error, "ETXTBSY") || attempt === BUSY_TRIES) throw error
      host.sleep(1000)
    }
  }
}
