import { readdirSync, statSync } from "node:fs"
import { cpus, release } from "node:os"
import { parseArgs } from "node:util"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { LimitContender, LinkedPod } from "./bandwidth.ts"
import { ChainContender } from "./chain.ts"
import { type Command, Contender, type Cost, type Measured, type Stack, timed, UPLINK } from "./contender.ts"
import { Floor } from "./floor.ts"
import { Pod } from "./pod.ts"
import { fill, PortContender } from "./ports.ts"
import { markdown, median, quantile } from "./statistics.ts"

const WARM_UP = 3
const AT_ONCE = 8
const COMMANDS = ["ADD", "CHECK", "DEL"] as const

/** By the name of what was measured, its unit last: the samples of each side. */
type Rows = Map<string, Record<Side, number[]>>
type Side = Implementation | "floor"

function rowOf(rows: Rows, name: string): Record<Side, number[]> {
  const row = rows.get(name) ?? { ours: [], reference: [], floor: [] }
  rows.set(name, row)
  return row
}

function record(rows: Rows, name: string, side: Side, { wall, cpu }: Cost): void {
  rowOf(rows, `${name}, ms`)[side].push(wall)
  rowOf(rows, `${name}, CPU ms`)[side].push(cpu)
}

interface Options {
  readonly runs: number
  readonly dir: string
  readonly booted: boolean
}

type Contenders = readonly (readonly [Implementation, Contender])[]

/** The first two go by turns, so that neither always runs behind the other. */
function turn<Entry>(entries: readonly Entry[], run: number): Entry[] {
  return run % 2 === 0 ? [...entries] : entries.toReversed()
}

function subnets(stack: Stack, number: number): string[] {
  const ipv4 = `10.${number + (stack === "IPv4" ? 0 : 10)}.0.0/16`
  return stack === "IPv4" ? [ipv4] : [ipv4, `fd00:10:${number}::/64`]
}

function contenders(stack: Stack, { dir }: Options): Contenders {
  return [
    ["reference", new Contender("reference", dir, subnets(stack, 101))],
    ["ours", new Contender("ours", dir, subnets(stack, 102))],
  ]
}

function measureVersion(rows: Rows, options: Options): void {
  const both = contenders("IPv4", options)
  for (let run = -WARM_UP; run < options.runs; run++) {
    const target = run < 0 ? new Map() : rows
    for (const [name, contender] of turn(both, run)) record(target, "VERSION", name, contender.version())
    record(target, "VERSION", "floor", timed(["/bin/true"], {}, ""))
  }
}

/** One pod each, per run: its ADD, its CHECK, its DEL, every command for all sides before the next. */
function measurePods(rows: Rows, stack: Stack, options: Options): void {
  const both = contenders(stack, options)
  const floor = new Floor(subnets(stack, 103))
  for (let run = -WARM_UP; run < options.runs; run++) {
    const target = run < 0 ? new Map() : rows
    const pods = { reference: new Pod(), ours: new Pod(), floor: new Pod() }
    for (const command of COMMANDS) {
      const name = `${command} ${stack}`
      for (const [side, contender] of turn(both, run)) record(target, name, side, contender.call(command, pods[side]))
      if (command === "ADD") rowOf(target, `${name}, ms`).floor.push(floor.add(pods.floor))
      if (command === "DEL") rowOf(target, `${name}, ms`).floor.push(floor.del(pods.floor))
    }
  }
}

/** As measurePods, for another plugin and IPv4 alone. */
function measurePlugin(rows: Rows, plugin: Measured, { dir, runs }: Options): void {
  if (plugin === "macvlan") {
    output(["ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "far"])
    for (const link of [UPLINK, "far"]) output(["ip", "link", "set", link, "up"])
  }
  const number = plugin === "ptp" ? 120 : 130
  const both: Contenders = [
    ["reference", new Contender("reference", dir, [`10.${number}.0.0/16`], plugin)],
    ["ours", new Contender("ours", dir, [`10.${number + 1}.0.0/16`], plugin)],
  ]
  for (let run = -WARM_UP; run < runs; run++) {
    const target = run < 0 ? new Map() : rows
    const pods = { reference: new Pod(), ours: new Pod() }
    for (const command of COMMANDS) {
      const name = `${plugin} ${command} IPv4`
      for (const [side, contender] of turn(both, run)) record(target, name, side, contender.call(command, pods[side]))
    }
  }
}

/** As measurePods, of pods that are masqueraded: ours beside the reference's default, which is iptables, and its nftables. */
function measureMasquerade(rows: Rows, { dir, runs }: Options): void {
  const make = (implementation: Implementation, number: number, keys: object) => {
    const name = `masq-${number}`
    const network = { name, bridge: name, ipMasq: true, ...keys }
    return new Contender(implementation, dir, [`10.${number}.0.0/16`], "bridge", network)
  }
  const ours = make("ours", 142, {})
  const references = [
    ["iptables", make("reference", 140, {})],
    ["nftables", make("reference", 141, { ipMasqBackend: "nftables" })],
  ] as const
  for (let run = -WARM_UP; run < runs; run++) {
    const target = run < 0 ? new Map() : rows
    const pods = { iptables: new Pod(), nftables: new Pod(), ours: new Pod() }
    for (const command of COMMANDS) {
      const row = (backend: string) => `${command} IPv4, ipMasq, Go by ${backend}`
      const cost = ours.call(command, pods.ours)
      for (const [backend, contender] of turn(references, run)) {
        record(target, row(backend), "ours", cost)
        record(target, row(backend), "reference", contender.call(command, pods[backend]))
      }
    }
  }
}

/** The limits of both directions, egress by ifb on both sides, of pods that are connected already. */
function measureLimits(rows: Rows, { dir, runs }: Options): void {
  const both = (["reference", "ours"] as const).map((name) => [name, new LimitContender(`${dir}/${name}`)] as const)
  for (let run = -WARM_UP; run < runs; run++) {
    const target = run < 0 ? new Map() : rows
    const pods = { reference: new LinkedPod(), ours: new LinkedPod() }
    for (const command of COMMANDS) {
      const name = `bandwidth ${command}`
      for (const [side, contender] of turn(both, run)) record(target, name, side, contender.call(command, pods[side]))
    }
    for (const { veth } of Object.values(pods)) output(["ip", "link", "del", veth])
  }
}

/**
 * The ports of one pod, first against the Go plugin as it is by default, then against its nftables backend; then what the ports of 499
 * other pods cost. In its own ruleset each: in a common one the Go plugin would have ours written anew every time.
 */
function measurePorts(rows: Rows, { dir, runs }: Options): void {
  const rivals: readonly (readonly [string, string | undefined])[] = [
    ["portmap", undefined],
    ["portmap beside Go by nftables", "nftables"],
  ]
  for (const [name, backend] of rivals) {
    for (const side of ["ours", "reference"] as const) {
      output(["nft", "flush", "ruleset"])
      measureSide(
        rows,
        name,
        side,
        new PortContender(`${dir}/${side}`, side === "reference" ? backend : undefined),
        runs,
      )
    }
  }
  output(["nft", "flush", "ruleset"])
  const crowded = new PortContender(`${dir}/ours`)
  fill(crowded, 499)
  measureSide(rows, "portmap as the 500th pod", "ours", crowded, runs)
  output(["nft", "flush", "ruleset"])
}

function measureSide(rows: Rows, name: string, side: Side, contender: PortContender, runs: number): void {
  for (let run = -WARM_UP; run < runs; run++) {
    const [target, pod, number] = [run < 0 ? new Map() : rows, new Pod(), contender.number()]
    for (const command of COMMANDS) record(target, `${name} ${command}`, side, contender.call(command, pod, number))
  }
}

/** The whole chain through cnitool, whose own time is in it. */
function measureChain(rows: Rows, { dir, runs }: Options): void {
  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/var/lib"]) // cnitool's cache
  const both = [
    ["reference", new ChainContender("reference", dir, "10.150.0.0/16")],
    ["ours", new ChainContender("ours", dir, "10.151.0.0/16")],
  ] as const
  for (let run = -WARM_UP; run < runs; run++) {
    const target = run < 0 ? new Map() : rows
    const pods = { reference: new Pod(), ours: new Pod() }
    const ports = { reference: 30_000 + 2 * (run + WARM_UP), ours: 30_001 + 2 * (run + WARM_UP) }
    for (const command of COMMANDS) {
      for (const [side, contender] of turn(both, run)) {
        record(target, `chain ${command}`, side, contender.call(command, pods[side], ports[side]))
      }
    }
  }
}

async function measureParallel(rows: Rows, options: Options): Promise<void> {
  const both = contenders("IPv4", options)
  const runs = Math.ceil(options.runs / 4)
  for (let run = -1; run < runs; run++) {
    const target = run < 0 ? new Map() : rows
    const make = () => Array.from({ length: AT_ONCE }, () => new Pod())
    const pods = { reference: make(), ours: make() }
    for (const command of ["ADD", "DEL"] satisfies Command[]) {
      const sink = rowOf(target, `${command} IPv4, ${AT_ONCE} at once, ms`)
      for (const [name, contender] of turn(both, run)) sink[name].push(await contender.callAll(command, pods[name]))
    }
  }
}

function measureMemory(rows: Rows, options: Options): void {
  for (let run = 0; run < Math.min(options.runs, 5); run++) {
    const sink = rowOf(rows, "peak memory of ADD, MB")
    for (const [name, contender] of contenders("IPv4", options)) sink[name].push(contender.memory(new Pod()) / 1e6)
  }
}

/** Of all three; ours is one file with three names. */
function measureSize(rows: Rows): void {
  const size = (name: Implementation, plugin: string) => statSync(`${binDirectory(name)}/${plugin}`).size / 1e6
  const sink = rowOf(rows, "bridge, host-local, loopback, MB")
  sink.reference.push(["bridge", "host-local", "loopback"].reduce((sum, plugin) => sum + size("reference", plugin), 0))
  sink.ours.push(size("ours", "bridge"))
}

/**
 * Both sides as freshly copied: the kernel maps a file's pages faster where it holds them in large pieces, so it must have got them in the
 * same way. As `booted`, it has to fetch them when the executables are first run.
 */
function install({ dir, booted }: Options): void {
  for (const name of ["ours", "reference"] as const) {
    const to = `${dir}/${name}`
    output(["cp", "-r", "--preserve=links,mode", binDirectory(name), to])
    if (!booted) continue
    for (const file of readdirSync(to).map((plugin) => `${to}/${plugin}`)) {
      output(["sync", file])
      output(["dd", `of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
    }
  }
}

function print(rows: Rows, { runs, booted }: Options): void {
  const shown = (value: number) => (Number.isNaN(value) ? "" : value.toFixed(value < 100 ? 1 : 0))
  const cells = [...rows].map(([name, { reference, ours, floor }]) => [
    name,
    ...[reference, ours].flatMap((side) => [shown(median(side)), shown(quantile(side, 0.9))]),
    (median(ours) / median(reference)).toFixed(2),
    shown(median(floor)),
  ])
  const [{ model = "" } = {}] = cpus()
  const machine = `${cpus().length} CPUs (${model}), Linux ${release()}`
  const state = booted ? "executables read from disk as they were first run" : "executables freshly copied"
  console.log(`${new Date().toISOString().slice(0, 10)}, ${machine}, ${runs} fresh namespaces per side, ${state}\n`)
  console.log(markdown([["medians", "Go v1.9.1", "90 %", "cni-ts", "90 %", "cni-ts / Go", "kernel alone"], ...cells]))
  console.log(
    "\nKernel alone: the requests that connect a pod, in batches from one warm process; for VERSION, /bin/true.",
  )
}

function readOptions(): Options & { readonly only: string } {
  const { values } = parseArgs({
    options: {
      dir: { type: "string", default: "" },
      runs: { type: "string", default: "40" },
      only: { type: "string", default: "" },
      booted: { type: "boolean", default: false },
    },
  })
  const runs = Number(values.runs)
  if (!values.dir || !(runs >= 1)) throw new Error("usage: scripts/bench [--runs N] [--only NAME,...] [--booted]")
  return { ...values, runs }
}

async function main(): Promise<void> {
  const options = readOptions()
  const rows: Rows = new Map()
  const cases: Record<string, () => void | Promise<void>> = {
    version: () => measureVersion(rows, options),
    ipv4: () => measurePods(rows, "IPv4", options),
    "dual-stack": () => measurePods(rows, "dual-stack", options),
    ptp: () => measurePlugin(rows, "ptp", options),
    macvlan: () => measurePlugin(rows, "macvlan", options),
    masquerade: () => measureMasquerade(rows, options),
    portmap: () => measurePorts(rows, options),
    bandwidth: () => measureLimits(rows, options),
    chain: () => measureChain(rows, options),
    parallel: () => measureParallel(rows, options),
    memory: () => measureMemory(rows, options),
    size: () => measureSize(rows),
  }
  const wanted = options.only ? options.only.split(",") : Object.keys(cases)
  const unknown = wanted.filter((name) => !Object.hasOwn(cases, name))
  if (unknown.length > 0) throw new Error(`--only ${unknown}: there are ${Object.keys(cases)}`)

  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/run"])
  output(["ip", "link", "set", "lo", "up"])
  install(options)
  for (const name of wanted) await cases[name]?.()
  print(rows, options)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Error)) throw error
  console.error(`bench: ${error.message}`)
  process.exit(1)
}
