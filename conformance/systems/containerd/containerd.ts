import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { NetworkList } from "../../lab/cnitool.ts"
import type { Machine } from "../../lab/machine.ts"
import { BASH } from "../../lab/run.ts"
import { Cri } from "./cri.ts"
import { containerdConfig, PAUSE_ARCHIVE, PROGRAMS } from "./programs.ts"

const PID_FILE = "/run/containerd.pid"

/** A containerd of the test's own on a machine. */
export class Containerd extends Cri {
  readonly machine: Machine
  readonly #log: string
  readonly #directory: string
  #ended: Promise<unknown> = Promise.resolve()

  /** `directory` takes configuration and log; plugins come from `binDirectory`. */
  private constructor(machine: Machine, directory: string, binDirectory: string) {
    super(machine)
    this.machine = machine
    this.#directory = directory
    this.#log = join(directory, "containerd.log")
    mkdirSync(join(directory, "net.d"), { recursive: true })
    writeFileSync(join(directory, "config.toml"), containerdConfig(binDirectory, join(directory, "net.d")))
  }

  static async start(
    machine: Machine,
    directory: string,
    binDirectory: string,
    network: NetworkList,
  ): Promise<Containerd> {
    const containerd = new Containerd(machine, directory, binDirectory)
    writeFileSync(join(directory, "net.d/10-net.conflist"), JSON.stringify(network))
    await containerd.start()
    containerd.importPauseImage(PAUSE_ARCHIVE)
    return containerd
  }

  async start(): Promise<void> {
    const log = openSync(this.#log, "a")
    const daemon = [...BASH, `echo $$ >${PID_FILE}; exec containerd -c ${join(this.#directory, "config.toml")}`]
    const [program = "", ...args] = this.machine.inside(daemon)
    const started = spawn(program, args, { env: PROGRAMS, stdio: ["ignore", log, log] })
    closeSync(log)
    this.#ended = once(started, "exit")
    await this.ready()
  }

  /** Kills the daemon alone: its shims, pods and plugins live on, as they do where a node's containerd dies. */
  async kill(): Promise<void> {
    this.machine.run([...BASH, `kill -KILL $(cat ${PID_FILE})`])
    await this.#ended
  }

  log(): string {
    return readFileSync(this.#log, "utf8")
  }
}
