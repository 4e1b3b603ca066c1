import { statSync } from "node:fs"
import { cpus, release } from "node:os"
import { parseArgs } from "node:util"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { type Command, Contender, type Stack, timed } from "./contender.ts"
import { Floor } from "./floor.ts"
import { Pod } from "./pod.ts"
import { markdown, median, quantile } from "./statistics.ts"

const WARM_UP = 3
const AT_ONCE = 8
const COMMANDS = ["ADD", "CHECK", "DEL"] as const

/** What was measured of one thing: milliseconds, or bytes. */
class Row {
  readonly samples: Record<Implementation | "floor", number[]> = { ours: [], reference: [], floor: [] }
}

type Rows = Map<string, Row>

function rowOf(rows: Rows, name: string): Row["samples"] {
  const row = rows.get(name) ?? new Row()
  rows.set(name, row)
  return row.samples
}

interface Options {
  readonly runs: number
  readonly dir: string
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
    const sink = rowOf(run < 0 ? new Map() : rows, "VERSION")
    for (const [name, contender] of turn(both, run)) sink[name].push(contender.version())
    sink.floor.push(timed(["/bin/true"], {}, "").time)
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
      const sink = rowOf(target, `${command} ${stack}`)
      for (const [name, contender] of turn(both, run)) sink[name].push(contender.call(command, pods[name]))
      if (command !== "CHECK") sink.floor.push(command === "ADD" ? floor.add(pods.floor) : floor.del(pods.floor))
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
      const sink = rowOf(target, `${command} IPv4, ${AT_ONCE} at once`)
      for (const [name, contender] of turn(both, run)) sink[name].push(await contender.callAll(command, pods[name]))
    }
  }
}

function measureMemory(rows: Rows, options: Options): void {
  for (let run = 0; run < Math.min(options.runs, 5); run++) {
    const sink = rowOf(rows, "peak memory of ADD")
    for (const [name, contender] of contenders("IPv4", options)) sink[name].push(contender.memory(new Pod()))
  }
}

/** Of all three; ours is one file with three names. */
function measureSize(rows: Rows): void {
  const size = (name: Implementation, plugin: string) => statSync(`${binDirectory(name)}/${plugin}`).size
  const sink = rowOf(rows, "bridge, host-local, loopback")
  sink.reference.push(["bridge", "host-local", "loopback"].reduce((sum, plugin) => sum + size("reference", plugin), 0))
  sink.ours.push(size("ours", "bridge"))
}

function print(rows: Rows, options: Options): void {
  const cells = [...rows].map(([name, { samples }]) => {
    const bytes = (samples.ours[0] ?? 0) > 1e5
    const shown = (value: number) => (Number.isNaN(value) ? "" : bytes ? (value / 1e6).toFixed(0) : value.toFixed(1))
    const { reference, ours, floor } = samples
    const quantiles = [reference, ours].flatMap((side) => [shown(median(side)), shown(quantile(side, 0.9))])
    return [
      `${name}, ${bytes ? "MB" : "ms"}`,
      ...quantiles,
      (median(ours) / median(reference)).toFixed(2),
      shown(median(floor)),
    ]
  })
  const [{ model = "" } = {}] = cpus()
  const machine = `${cpus().length} CPUs (${model}), Linux ${release()}`
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${machine}, ${options.runs} fresh namespaces per row and side\n`,
  )
  console.log(markdown([["", "Go v1.9.1", "90 %", "cni-ts", "90 %", "cni-ts / Go", "kernel alone"], ...cells]))
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      dir: { type: "string" },
      runs: { type: "string", default: "40" },
      only: { type: "string", default: "" },
    },
  })
  const options: Options = { runs: Number(values.runs), dir: values.dir ?? "" }
  if (!options.dir || !(options.runs >= 1)) throw new Error("usage: scripts/bench [--runs N] [--only NAME,...]")
  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/run"])
  output(["ip", "link", "set", "lo", "up"])
  const rows: Rows = new Map()
  const cases: Record<string, () => void | Promise<void>> = {
    version: () => measureVersion(rows, options),
    ipv4: () => measurePods(rows, "IPv4", options),
    "dual-stack": () => measurePods(rows, "dual-stack", options),
    parallel: () => measureParallel(rows, options),
    memory: () => measureMemory(rows, options),
    size: () => measureSize(rows),
  }
  const wanted = values.only ? values.only.split(",") : Object.keys(cases)
  for (const name of wanted) {
    const measure = cases[name.toLowerCase()]
    if (!measure) throw new Error(`--only ${name}: there are ${Object.keys(cases).join(", ")}`)
    await measure()
  }
  print(rows, options)
}

await main()
