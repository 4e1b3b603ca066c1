import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { binDirectory } from "../lab/executables.ts"
import { type Finished, run } from "../lab/run.ts"

const CNI_TS = join(binDirectory(), "cni-ts")

/** A file of a recording. */
export interface Recorded {
  readonly plugin: string
  readonly command: string
  readonly milliseconds?: number
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  readonly answer?: { exitCode?: number; signal?: string; stdout: string; stderr: string }
  readonly cut?: readonly string[]
}

/** `cni-ts record` at work. */
export class Recorder {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #said = ""

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, "exit")
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#said += text
    })
  }

  /** Resolves when all plugins are being recorded. */
  static async start(directory: string, plugins: string, ...options: readonly string[]): Promise<Recorder> {
    const argv = ["record", directory, "--plugins", plugins, ...options]
    const recorder = new Recorder(spawn(CNI_TS, argv, { stdio: ["ignore", "pipe", "inherit"] }))
    while (!recorder.#said.includes("Ctrl-C")) {
      if (recorder.#child.exitCode !== null) throw new Error(`the recorder ended: ${recorder.#said}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return recorder
  }

  /** Ends it by a signal, and returns what it has said since it began to record. */
  async end(signal: "SIGINT" | "SIGTERM" | "SIGKILL" = "SIGINT"): Promise<string> {
    this.#child.kill(signal)
    return this.awaitEnd()
  }

  async awaitEnd(): Promise<string> {
    await this.#ended
    return this.#said.split("\n").slice(1).join("\n")
  }
}

export function stopRecording(plugins: string): Finished {
  return run([CNI_TS, "record", "--stop", "--plugins", plugins])
}

/** Runs `cni-ts replay`. */
export function replay(directory: string, ...options: readonly string[]): Finished {
  return run([CNI_TS, "replay", directory, ...options])
}

/** Returns the calls of a recording, by the names of their files. */
export function recordingIn(directory: string): Map<string, Recorded> {
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => /^\d+-/.test(name)) : []
  return new Map(names.sort().map((name) => [name, JSON.parse(readFileSync(join(directory, name), "utf8"))]))
}

/** Returns the names in a plugin directory that a recorder has put there, or has given to originals. */
export function tracesIn(plugins: string): string[] {
  return readdirSync(plugins).filter((name) => name.startsWith("."))
}
