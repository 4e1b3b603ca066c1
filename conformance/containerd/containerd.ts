import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import type { NetworkList } from "../lab/cnitool.ts"
import type { Machine } from "../lab/machine.ts"
import { View } from "../lab/namespace.ts"
import type { Finished } from "../lab/run.ts"
import { PodSandbox, type SandboxWish, sandboxConfig } from "./sandbox.ts"

const CACHE = resolve(fileURLToPath(import.meta.url), "../../../.cache/containerd")
const SOCKET = "/run/containerd/containerd.sock"
const PID_FILE = "/run/containerd.pid"

/** Ready is who has loaded a network. */
const WAIT_UNTIL_READY = `for _ in {1..200}; do
  info=$(crictl -r unix://${SOCKET} info 2>&1) && [[ $info != *'"status": false'* ]] && exit
  sleep 0.1
done
echo "$info"
exit 1`

/** The environment of daemons and clients: the programs that `prepare` unpacked, and the libraries they need. */
export const PROGRAMS = {
  PATH: `${CACHE}/root/usr/sbin:${CACHE}/root/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  HOME: "/root",
}

export const PAUSE_ARCHIVE = join(CACHE, "pause.tar")
export const PAUSE_IMAGE = "cni-ts.test/pause:1"

const CRICTL = ["crictl", "-r", `unix://${SOCKET}`, "-t", "60s"]

/** What containerd is told, wherever it runs; without the right to lower oom_score_adj, runc needs the fourth setting. */
export function containerdConfig(binDirectory: string, networkDirectory: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${binDirectory}"
    conf_dir = "${networkDirectory}"
`
}

/** A containerd of the test's own on a machine, and crictl, the client that speaks the kubelet's language to it. */
export class Containerd {
  readonly machine: Machine
  readonly #log: string
  readonly #directory: string
  #ended: Promise<unknown> = Promise.resolve()
  #sandboxes = 0

  /** `directory` takes configuration and log; plugins come from `binDirectory`. */
  private constructor(machine: Machine, directory: string, binDirectory: string) {
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
    containerd.network(network)
    await containerd.start()
    const imported = machine.run(["ctr", "-n", "k8s.io", "images", "import", PAUSE_ARCHIVE], { env: PROGRAMS })
    if (imported.exitCode !== 0) throw new Error(`cannot import the pause image: ${imported.stderr}`)
    return containerd
  }

  /** Replaces the network that pods are connected to; containerd notices by itself, but not at once. */
  network(list: NetworkList): void {
    writeFileSync(join(this.#directory, "net.d/10-net.conflist"), JSON.stringify(list))
  }

  async start(): Promise<void> {
    const log = openSync(this.#log, "a")
    const daemon = ["bash", "-c", `echo $$ >${PID_FILE}; exec containerd -c ${join(this.#directory, "config.toml")}`]
    const [program = "", ...args] = this.machine.inside(daemon)
    const started = spawn(program, args, { env: PROGRAMS, stdio: ["ignore", log, log] })
    closeSync(log)
    this.#ended = once(started, "exit")
    const up = await this.machine.runAsync(["bash", "-c", WAIT_UNTIL_READY], { env: PROGRAMS })
    if (up.exitCode !== 0) throw new Error(`containerd does not get ready: ${up.stdout}${up.stderr}\n${this.log()}`)
  }

  /** Kills the daemon alone: its shims, pods and plugins live on, as they do where a node's containerd dies. */
  async kill(): Promise<void> {
    this.machine.run(["bash", "-c", `kill -KILL $(cat ${PID_FILE})`])
    await this.#ended
  }

  /** A call of crictl, whatever comes of it. */
  crictl(...args: string[]): Finished {
    return this.machine.run([...CRICTL, ...args], { env: PROGRAMS })
  }

  /** RunPodSandbox; throws if it fails. */
  async runPod(wish: SandboxWish = {}): Promise<PodSandbox> {
    const done = await this.tryPod(wish)
    if (done.exitCode !== 0) throw new Error(`RunPodSandbox failed: ${done.stderr}`)
    return new PodSandbox(this, done.stdout.trim())
  }

  /** RunPodSandbox, whatever comes of it. */
  tryPod(wish: SandboxWish = {}): Promise<Finished> {
    const name = wish.name ?? `pod${++this.#sandboxes}`
    const file = join(this.#directory, `${name}.json`)
    writeFileSync(file, JSON.stringify(sandboxConfig({ ...wish, name }, this.machine.cgroup)))
    return this.machine.runAsync([...CRICTL, "runp", file], { env: PROGRAMS })
  }

  /** Stops and removes all sandboxes, whatever their state, as a kubelet does that finds none of them wanted. */
  removePods(): void {
    const ids = this.crictl("pods", "-q").stdout.split("\n").filter(Boolean)
    for (const call of ["stopp", "rmp"]) {
      const done = ids.length > 0 && this.crictl(call, ...ids)
      if (done && done.exitCode !== 0) throw new Error(`crictl ${call} failed: ${done.stderr}`)
    }
  }

  view(netns: string): View {
    return new View(this.machine.path(netns.replace(/^\/var\/run/, "/run")))
  }

  log(): string {
    return readFileSync(this.#log, "utf8")
  }
}
