import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A network namespace beside the one that the process is in, mounted at `path`; for a process that `namespaced` started. */
export class SecondNetwork {
  readonly #directory = mkdtempSync(join(tmpdir(), "cni-ts-"))
  readonly path = `${this.#directory}/netns`
  readonly #inhabitants: ChildProcess[] = []

  constructor() {
    writeFileSync(this.path, "")
    execFileSync("unshare", [`--net=${this.path}`, "true"])
  }

  /** Has a process in there from now on. */
  async inhabit(): Promise<void> {
    const child = spawn("nsenter", [`--net=${this.path}`, "sh", "-c", "echo; exec sleep 600"])
    this.#inhabitants.push(child)
    await new Promise((resolve) => child.stdout.once("data", resolve))
  }

  /** Has nobody in there any more. */
  async desert(): Promise<void> {
    for (const child of this.#inhabitants.splice(0)) {
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGKILL")
      await ended
    }
  }

  unmount(): void {
    execFileSync("umount", [this.path])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.desert()
    rmSync(this.#directory, { recursive: true })
  }
}
