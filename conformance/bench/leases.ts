import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import type { Implementation } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { Pod } from "./pod.ts"
import { type Rows, recordWithPeak, type Side } from "./rows.ts"
import { type Options, repeat, turn } from "./runs.ts"
import { type Cost, timed } from "./stopwatch.ts"

const MANY = 60_000
/** All of a /16 but the network's own address, the gateway's and the broadcast address. */
const FULL = 65_533
const SIDES = ["reference", "ours"] as const

/** Returns how often to do what takes seconds, or needs thousands of files first. */
function few(runs: number): number {
  return Math.min(runs, 3)
}

/** One implementation's host-local with a network of its own, for one pod beside those that have leases already. */
export class LeaseContender {
  readonly #program: string
  readonly #network: string
  readonly #dataDir: string
  readonly #pod = new Pod()

  constructor(implementation: Implementation, dir: string, count: number, leases = dir) {
    this.#program = `${dir}/${implementation}/host-local`
    this.#network = `${implementation}-${count}`
    this.#dataDir = `${leases}/leases-${implementation}`
    this.fill(count)
  }

  /** Makes the leases 10.160.0.2 and on, as the Go plugin leaves them, and has them read once. */
  fill(count: number): void {
    const directory = `${this.#dataDir}/${this.#network}`
    const addressOf = (host: number) => `10.160.${host >> 8}.${host & 255}`
    mkdirSync(directory, { recursive: true })
    for (let host = 2; host < count + 2; host++)
      writeFileSync(`${directory}/${addressOf(host)}`, `${attachmentOf(host)}\r\neth0`, { mode: 0o600 })
    writeFileSync(`${directory}/last_reserved_ip.0`, addressOf(count + 1))
    output(["sync"]) // or the disk is busy with them while others are measured
    this.call("DEL")
  }

  /** Takes away what cni-ts notes beside the leases, as if others had made them since. */
  forget(): void {
    rmSync(`${this.#dataDir}/.cni-ts`, { recursive: true, force: true })
  }

  call(command: string, keys: object = {}, exitCode = 0): Cost {
    const ofContainer = { CNI_CONTAINERID: "bench", CNI_NETNS: this.#pod.namespace.path, CNI_IFNAME: "eth0" }
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_PATH: "/opt/cni/bin",
      ...(["ADD", "DEL"].includes(command) && ofContainer),
    }
    const ipam = { type: "host-local", dataDir: this.#dataDir, ranges: [[{ subnet: "10.160.0.0/16" }]] }
    const config = { cniVersion: "1.1.0", name: this.#network, type: "bridge", ipam, ...keys }
    return timed({ argv: [this.#program], env, stdin: JSON.stringify(config), exitCode })
  }
}

function attachmentOf(host: number): string {
  return `${"f".repeat(56)}${host.toString(16).padStart(8, "0")}`
}

/** Records ADD and DEL of one pod. */
function measurePod(rows: Rows, name: string, side: Side, contender: LeaseContender): void {
  for (const command of ["ADD", "DEL"])
    recordWithPeak(rows, `host-local ${command}, ${name}`, side, contender.call(command))
}

/** ADD and DEL beside few and many leases, and as the first after somebody else's. */
export function measureLeases(rows: Rows, { dir, runs }: Options): void {
  const small = SIDES.map((side) => [side, new LeaseContender(side, dir, 10)] as const)
  repeat(rows, runs, (target, run) => {
    for (const [side, contender] of turn(small, run)) measurePod(target, "10 leases", side, contender)
  })
  const reference = new LeaseContender("reference", dir, MANY)
  repeat(rows, few(runs), (target) => measurePod(target, "60,000 leases", "reference", reference), 1)
  const ours = new LeaseContender("ours", dir, MANY)
  repeat(rows, runs, (target) => measurePod(target, "60,000 leases", "ours", ours))
  repeat(rows, few(runs), (target) => {
    ours.forget()
    recordWithPeak(target, "host-local ADD, first after 60,000 leases of the Go plugin", "ours", ours.call("ADD"))
    ours.call("DEL")
  })
}

/** ADD if there is no free address in a /16. */
export function measureFull(rows: Rows, { dir, runs }: Options): void {
  for (const side of SIDES) {
    const contender = new LeaseContender(side, dir, FULL)
    const measure = (target: Rows) =>
      recordWithPeak(target, "host-local ADD, a full /16", side, contender.call("ADD", {}, 1))
    repeat(rows, side === "ours" ? runs : few(runs), measure, 1)
  }
}

/** Measures what the Go plugin has no part in: it answers STATUS and GC without looking. */
export function measureCollection(rows: Rows, { dir, runs }: Options): void {
  const contender = new LeaseContender("ours", dir, MANY)
  const all = Array.from({ length: MANY }, (_, index) => ({ containerID: attachmentOf(index + 2), ifname: "eth0" }))
  const collect = (valid: object[]) => contender.call("GC", { "cni.dev/valid-attachments": valid })
  repeat(rows, runs, (target) => {
    recordWithPeak(target, "host-local STATUS, 60,000 leases", "ours", contender.call("STATUS"))
    recordWithPeak(target, "host-local GC of 60,000 leases that frees none", "ours", collect(all))
  })
  repeat(
    rows,
    few(runs),
    (target) => {
      contender.fill(MANY)
      recordWithPeak(target, "host-local GC that frees 60,000 leases", "ours", collect([]))
    },
    0,
  )
}

/** Ten megabytes of configuration that nobody needs. */
export function measureInput(rows: Rows, { dir, runs }: Options): void {
  const both = SIDES.map((side) => [side, new LeaseContender(side, dir, 10)] as const)
  const labels = Array.from({ length: 100_000 }, () => "x".repeat(100))
  repeat(rows, runs, (target, run) => {
    for (const [side, contender] of turn(both, run)) {
      recordWithPeak(target, "host-local ADD, 10 MB of stdin", side, contender.call("ADD", { labels }))
      contender.call("DEL")
    }
  })
}
