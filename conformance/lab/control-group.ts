import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const ROOT = "/sys/fs/cgroup"

/** A control group of its own with one limit, in either version of the kernel's interface. */
export class ControlGroup implements Disposable {
  readonly #path: string

  /** `limit`: `memory` in bytes, or `pids`. */
  constructor(name: string, limit: "memory" | "pids", most: number) {
    const second = existsSync(join(ROOT, "cgroup.controllers"))
    if (second) writeFileSync(join(ROOT, "cgroup.subtree_control"), `+${limit}`)
    this.#path = join(ROOT, second ? "" : limit, `${name}-${limit}`)
    mkdirSync(this.#path)
    const file = limit === "pids" || second ? `${limit}.max` : "memory.limit_in_bytes"
    writeFileSync(join(this.#path, file), `${most}`)
  }

  /** The argument vector that runs a program in the group. */
  launcher(): string[] {
    return ["sh", "-c", `echo $$ >${this.#path}/cgroup.procs && exec "$@"`, "sh"]
  }

  [Symbol.dispose](): void {
    rmdirSync(this.#path)
  }
}
