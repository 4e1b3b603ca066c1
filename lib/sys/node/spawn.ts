import { type SpawnSyncOptionsWithBufferEncoding, type SpawnSyncReturns, spawnSync } from "node:child_process"
import { accessSync, closeSync, constants, openSync, readSync } from "node:fs"
import { constants as system } from "node:os"
import type { Ended } from "../host.ts"
import { errnoOf } from "./errno.ts"

const { EFBIG, EINVAL, ENOBUFS, ENOEXEC, ETIMEDOUT } = system.errno

/** The bytes that a program may write to stdout, and to stderr, before it is killed. */
const OUTPUT_LIMIT = 4 << 20

/** Implements Host.spawn(), but does not kill processes that left the program's process group. */
export function spawn(
  path: string,
  environment: readonly string[],
  stdin: Uint8Array,
  milliseconds: number,
): Ended | number {
  if ([path, ...environment].some((text) => text.includes("\0"))) return -EINVAL
  if (isForShell(path)) return -ENOEXEC
  // The types lack `detached`.
  const options: SpawnSyncOptionsWithBufferEncoding & { detached: boolean } = {
    argv0: path,
    env: Object.fromEntries(environment.map(nameAndValue)),
    input: stdin,
    detached: true,
    timeout: Math.max(1, milliseconds),
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_LIMIT,
  }
  const ended = spawnSync(path.includes("/") ? path : `./${path}`, [], options)
  // An error does not mean that nothing ran: it is EPIPE if the program did not read all of stdin.
  return ended.pid === 0 ? errnoOf(ended.error) : outcomeOf(ended)
}

function nameAndValue(variable: string): [string, string] {
  const at = variable.indexOf("=")
  return [variable.slice(0, at), variable.slice(at + 1)]
}

function outcomeOf({ pid, status, signal, error, stdout, stderr }: SpawnSyncReturns<Buffer>): Ended | number {
  const errno = error && errnoOf(error)
  const timedOut = errno === -ETIMEDOUT
  if (timedOut || errno === -ENOBUFS) killGroup(pid)
  if (errno === -ENOBUFS) return -EFBIG
  return {
    exitCode: status ?? undefined,
    signal: signal ? system.signals[signal] : undefined,
    timedOut,
    stdout: new Uint8Array(stdout),
    stderr: new Uint8Array(stderr),
  }
}

/** Kills the program's children, if there are any left: Node.js killed only the program. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL")
  } catch {}
}

/** Returns true for an executable that is neither ELF nor names an interpreter, which Node.js, as execvp(3), would have a shell run. */
function isForShell(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    const start = firstBytes(path, 4)
    return start !== "\x7fELF" && !start.startsWith("#!")
  } catch {
    return false
  }
}

function firstBytes(path: string, length: number): string {
  const file = openSync(path, "r")
  try {
    const buffer = Buffer.alloc(length)
    return buffer.toString("latin1", 0, readSync(file, buffer))
  } finally {
    closeSync(file)
  }
}
