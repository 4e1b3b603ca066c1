import "./kernel-clock.ts" // before what needs a host

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { cpus, release } from "node:os"
import { basename } from "node:path"
import { parseArgs } from "node:util"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { measureLimits } from "./bandwidth.ts"
import { Busyness } from "./busy.ts"
import { measureChain } from "./chain.ts"
import { measureDisk } from "./disk.ts"
import { measureFullNode } from "./full-node.ts"
import { casesForGuest, measureInGuest } from "./in-guest.ts"
import { measureCollection, measureFull, measureInput, measureLeases } from "./leases.ts"
import { measureOnLink } from "./linked.ts"
import { coursePicture, picture, SHOWN_CASES } from "./picture.ts"
import { removePods } from "./pod.ts"
import {
  measureMasquerade,
  measureMasqueradeByIptables,
  measureMemory,
  measureParallel,
  measurePlugin,
  measurePods,
} from "./pods.ts"
import { measureCrowd, measureIptables, measurePorts } from "./ports.ts"
import { type Rows, rowOf, table } from "./rows.ts"
import type { Options } from "./runs.ts"
import { SBR } from "./sbr.ts"
import { TUNING } from "./tuning.ts"
import { updated } from "./update.ts"
import { measureColdVersion, measureVersion } from "./version.ts"
import { VRF } from "./vrf.ts"

/** Of all three; ours is one file with three names. */
function measureSize(rows: Rows, { dir }: Options): void {
  const size = (name: Implementation, plugin: string) => statSync(`${dir}/${name}/${plugin}`).size / 1e6
  const sink = rowOf(rows, "bridge, host-local, loopback, MB")
  sink.reference.push(["bridge", "host-local", "loopback"].reduce((sum, plugin) => sum + size("reference", plugin), 0))
  sink.ours.push(size("ours", "bridge"))
}

/**
 * Both sides as freshly copied: the kernel maps a file's pages faster where it holds them in large pieces, so it must have got them in the
 * same way. As `booted`, it has to fetch them when the executables are first run.
 */
function install({ dir, booted, against }: Options): void {
  for (const name of ["ours", "reference"] as const) {
    const to = `${dir}/${name}`
    const from = name === "reference" && against ? against : binDirectory(name)
    output(["cp", "-r", "--preserve=links,mode", from, to])
    if (!booted) continue
    for (const file of readdirSync(to).map((plugin) => `${to}/${plugin}`)) {
      output(["sync", file])
      output(["dd", `of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
    }
  }
}

/** Date and machine, without which no figure means anything. */
function circumstances({ runs, booted }: Options): string {
  const [{ model = "" } = {}] = cpus()
  const machine = `${cpus().length} CPUs (${model}), Linux ${release()}`
  const state = booted ? "executables read from disk as they were first run" : "executables freshly copied"
  return `${new Date().toISOString().slice(0, 10)}, ${machine}, ${runs} fresh namespaces per side, ${state}`
}

interface Arguments extends Options {
  readonly only: string
  readonly chart: string
  readonly course: string
  readonly update: string
  /** The file for the rows alone, of a run in the VM. */
  readonly rows: string
}

function readOptions(): Arguments {
  const { values } = parseArgs({
    options: {
      dir: { type: "string", default: "" },
      runs: { type: "string", default: "40" },
      only: { type: "string", default: "" },
      chart: { type: "string", default: "" },
      course: { type: "string", default: "" },
      update: { type: "string", default: "" },
      rows: { type: "string", default: "" },
      against: { type: "string", default: "" },
      booted: { type: "boolean", default: false },
    },
  })
  const runs = Number(values.runs)
  if (!values.dir || !(runs >= 1))
    throw new Error(
      "usage: scripts/bench [--runs N] [--only NAME,...] [--against DIR] [--chart FILE] [--course FILE] [--update FILE] [--booted]",
    )
  return { ...values, runs }
}

function refuseWhatIsNotMeasured({ chart, course, update, against }: Arguments, wanted: readonly string[]): void {
  const missing = chart ? SHOWN_CASES.filter((name) => !wanted.includes(name)) : []
  if (missing.length > 0) throw new Error(`--chart shows ${SHOWN_CASES}: --only leaves out ${missing}`)
  if (course && !wanted.includes("node")) throw new Error("--course shows node: --only leaves it out")
  if (against && (chart || course || update)) throw new Error("--against: pictures and pages are about the Go plugins")
}

function write({ chart, course, update, ...options }: Arguments, rows: Rows): void {
  if (chart) writeFileSync(chart, picture(rows, circumstances(options)))
  if (course) writeFileSync(course, coursePicture(rows, circumstances(options)))
  if (update) writeFileSync(update, updated(readFileSync(update, "utf8"), rows))
}

/** The measurements, by the names that `--only` takes. */
function casesFor(rows: Rows, options: Options): Readonly<Record<string, () => void>> {
  return {
    version: () => measureVersion(rows, options),
    cold: () => measureColdVersion(rows, options),
    ipv4: () => measurePods(rows, "IPv4", options),
    "dual-stack": () => measurePods(rows, "dual-stack", options),
    ptp: () => measurePlugin(rows, "ptp", options),
    macvlan: () => measurePlugin(rows, "macvlan", options),
    "host-device": () => measurePlugin(rows, "host-device", options),
    tap: () => measurePlugin(rows, "tap", options),
    ipvlan: () => measurePlugin(rows, "ipvlan", options),
    vlan: () => measurePlugin(rows, "vlan", options),
    dummy: () => measurePlugin(rows, "dummy", options),
    masquerade: () => measureMasquerade(rows, options),
    "masquerade-iptables": () => measureMasqueradeByIptables(rows, options),
    portmap: () => measurePorts(rows, options),
    crowd: () => measureCrowd(rows, options),
    firewall: () => measureIptables(rows, "firewall", options),
    "portmap-iptables": () => measureIptables(rows, "portmap", options),
    bandwidth: () => measureLimits(rows, options),
    sbr: () => measureOnLink(rows, options, SBR),
    tuning: () => measureOnLink(rows, options, TUNING),
    vrf: () => measureOnLink(rows, options, VRF),
    chain: () => measureChain(rows, options),
    parallel: () => measureParallel(rows, options),
    node: () => measureFullNode(rows, options),
    leases: () => measureLeases(rows, options),
    disk: () => measureDisk(rows, options),
    full: () => measureFull(rows, options),
    gc: () => measureCollection(rows, options),
    stdin: () => measureInput(rows, options),
    memory: () => measureMemory(rows, options),
    size: () => measureSize(rows, options),
  }
}

async function main(): Promise<void> {
  const options = readOptions()
  const rows: Rows = new Map()
  const cases = casesFor(rows, options)
  const inGuest = casesForGuest(Object.keys(cases))
  const wanted = options.only ? options.only.split(",") : Object.keys(cases).filter((name) => !inGuest.includes(name))
  const unknown = wanted.filter((name) => !Object.hasOwn(cases, name))
  if (unknown.length > 0) throw new Error(`--only ${unknown}: there are ${Object.keys(cases)}`)
  refuseWhatIsNotMeasured(options, wanted)

  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/run"])
  output(["ip", "link", "set", "lo", "up"])
  install(options)
  console.log(`${circumstances(options)}\n`)
  const busyness = new Busyness()
  const emulated = wanted.filter((name) => inGuest.includes(name))
  for (const name of wanted) {
    removePods()
    busyness.sample()
    if (!emulated.includes(name)) cases[name]?.()
  }
  if (options.rows) return writeFileSync(options.rows, JSON.stringify([...rows]))
  if (emulated.length > 0) await measureInGuest(rows, emulated, options)
  console.log(table(rows, options.against ? basename(options.against) : "Go v1.9.1"))
  write(options, rows)
  const warning = busyness.warning()
  if (warning) console.log(`\n${warning}`)
  console.log("\nKernel alone: the system calls without which no pod is connected; for VERSION, /bin/true.")
  if (emulated.length > 0)
    console.log(
      "Emulated: in a VM that counts instructions as time, as this kernel has no such links. Only ratios say something.",
    )
}

main().catch((error) => {
  if (!(error instanceof Error)) throw error
  console.error(`bench: ${error.message}`)
  process.exit(1)
})
