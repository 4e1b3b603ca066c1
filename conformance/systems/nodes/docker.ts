import { spawn } from "node:child_process"
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Machine } from "../../lab/machine.ts"
import { Node } from "../../lab/node.ts"
import { BASH } from "../../lab/run.ts"
import { CACHE, PROGRAMS } from "../containerd/programs.ts"

/** Docker's engine, with a machine of its own: this machine's rules, links and daemons are not its concern. */
export class Docker {
  readonly network: Node
  readonly machine: Machine

  private constructor(network: Node, machine: Machine) {
    this.network = network
    this.machine = machine
  }

  /** From now on, it is what testcontainers talks to. */
  static async start(): Promise<Docker> {
    const network = new Node()
    const machine = await Machine.start(network)
    const socket = join(network.dir, "docker.sock")
    const log = openSync(join(network.dir, "docker.log"), "a")
    const [program = "", ...args] = machine.inside(daemon(network.dir, socket, machine.cgroup))
    const env = { ...PROGRAMS, LD_LIBRARY_PATH: libraries() }
    spawn(program, args, { env, stdio: ["ignore", log, log] })
    closeSync(log)
    const up = await machine.runAsync([...BASH, WAIT_UNTIL_READY, socket])
    if (up.exitCode !== 0) throw new Error(`dockerd does not answer: ${readFileSync(join(network.dir, "docker.log"))}`)
    Object.assign(process.env, environment(socket))
    return new Docker(network, machine)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]()
    this.network[Symbol.dispose]()
  }
}

/** For testcontainers: without a container that cleans up after it, and without looking for the default bridge. */
function environment(socket: string): Record<string, string> {
  return {
    DOCKER_HOST: `unix://${socket}`,
    TESTCONTAINERS_RYUK_DISABLED: "true",
    TESTCONTAINERS_HOST_OVERRIDE: "localhost",
  }
}

const WAIT_UNTIL_READY = 'for _ in {1..200}; do [ -S "$0" ] && exit; sleep 0.1; done; exit 1'

/** Debian 12's adjusts its own score unless told not to, which not every machine allows; Debian 13's knows no such flag. */
const DOCKERD = 'exec dockerd $(dockerd --help | grep -q oom-score-adjust && echo --oom-score-adjust=0) "$@"'

/** The images lie beside the socket rather than in memory, as the machine's own /var/lib does. */
function daemon(directory: string, socket: string, cgroup: string): string[] {
  return [
    ...BASH,
    DOCKERD,
    "dockerd",
    `--host=unix://${socket}`,
    `--data-root=${join(directory, "docker")}`,
    "--exec-root=/run/docker",
    "--pidfile=/run/docker.pid",
    `--cgroup-parent=${cgroup}`,
    "--default-cgroupns-mode=private",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
  ]
}

/** Returns the directories of the libraries that were unpacked with dockerd. */
function libraries(): string {
  const roots = ["usr/lib", "lib"].map((directory) => join(CACHE, "root", directory)).filter((root) => existsSync(root))
  const directories = roots.flatMap((root) => readdirSync(root).map((name) => join(root, name)))
  return directories.filter((directory) => directory.includes("-linux-")).join(":")
}
