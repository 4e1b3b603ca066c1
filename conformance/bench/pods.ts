import type { Implementation } from "../lab/executables.ts"
import { output, run } from "../lab/run.ts"
import { Contender, deviceOf, ON_UPLINK, type Stack, UPLINK } from "./contender.ts"
import { Floor } from "./floor.ts"
import { Pod } from "./pod.ts"
import { type Rows, record, rowOf } from "./rows.ts"
import { shareOfRtnl } from "./rtnl.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"
import { median } from "./statistics.ts"

type Contenders = readonly (readonly [Implementation, Contender])[]

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

/** One pod each, per run: its ADD, its CHECK, its DEL, every command for all sides before the next. */
export function measurePods(rows: Rows, stack: Stack, options: Options): void {
  const both = contenders(stack, options)
  const floor = new Floor(subnets(stack, 103))
  repeat(rows, options.runs, (target, run) => {
    const pods = { reference: new Pod(), ours: new Pod(), floor: new Pod() }
    for (const command of COMMANDS) {
      const name = `${command} ${stack}`
      for (const [side, contender] of turn(both, run)) record(target, name, side, contender.call(command, pods[side]))
      if (command === "ADD") rowOf(target, `${name}, ms`).floor.push(floor.add(pods.floor))
      if (command === "DEL") rowOf(target, `${name}, ms`).floor.push(floor.del(pods.floor))
    }
  })
}

/** The second byte of the subnets of each plugin that measurePlugin() measures. */
const NUMBERS = { ptp: 120, macvlan: 130, "host-device": 132, tap: 180, ipvlan: 182, vlan: 184, dummy: 186 }

/** As measurePods, for another plugin and IPv4 alone. */
export function measurePlugin(rows: Rows, plugin: keyof typeof NUMBERS, { dir, runs }: Options): void {
  if (ON_UPLINK.has(plugin)) ensureUplink()
  const number = NUMBERS[plugin]
  const both: Contenders = [
    ["reference", new Contender("reference", dir, [`10.${number}.0.0/16`], plugin)],
    ["ours", new Contender("ours", dir, [`10.${number + 1}.0.0/16`], plugin)],
  ]
  if (plugin === "host-device") {
    for (const [side, { name }] of both) {
      output(["ip", "link", "add", deviceOf(name), "type", "veth", "peer", "name", `far-${side}`])
      output(["ip", "link", "set", `far-${side}`, "up"])
    }
  }
  compare(rows, both, runs, (command) => `${plugin} ${command} IPv4`)
}

function ensureUplink(): void {
  const { exitCode } = run(["ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "far"])
  if (exitCode === 0) for (const link of [UPLINK, "far"]) output(["ip", "link", "set", link, "up"])
}

function compare(rows: Rows, both: Contenders, runs: number, nameOf: (command: string) => string): void {
  repeat(rows, runs, (target, run) => {
    const pods = { reference: new Pod(), ours: new Pod() }
    for (const command of COMMANDS) {
      for (const [side, contender] of turn(both, run))
        record(target, nameOf(command), side, contender.call(command, pods[side]))
    }
  })
}

/** Returns one whose pods are masqueraded, on a network of that number. */
function masquerading(implementation: Implementation, dir: string, number: number, keys: object): Contender {
  const name = `masq-${number}`
  return new Contender(implementation, dir, [`10.${number}.0.0/16`], "bridge", {
    name,
    bridge: name,
    ipMasq: true,
    ...keys,
  })
}

/** As measurePods, of pods that both sides masquerade by rules of iptables. */
export function measureMasqueradeByIptables(rows: Rows, { dir, runs }: Options): void {
  const keys = { ipMasqBackend: "iptables" }
  const both: Contenders = [
    ["reference", masquerading("reference", dir, 143, keys)],
    ["ours", masquerading("ours", dir, 144, keys)],
  ]
  compare(rows, both, runs, (command) => `${command} IPv4, ipMasqBackend iptables`)
}

/** As measurePods, of pods that are masqueraded: ours beside the reference's default, which is iptables, and its nftables. */
export function measureMasquerade(rows: Rows, { dir, runs }: Options): void {
  const ours = masquerading("ours", dir, 142, {})
  const references = [
    ["iptables", masquerading("reference", dir, 140, {})],
    ["nftables", masquerading("reference", dir, 141, { ipMasqBackend: "nftables" })],
  ] as const
  repeat(rows, runs, (target, run) => {
    const pods = { iptables: new Pod(), nftables: new Pod(), ours: new Pod() }
    for (const command of COMMANDS) {
      const row = (backend: string) => `${command} IPv4, ipMasq, Go by ${backend}`
      const cost = ours.call(command, pods.ours)
      for (const [backend, contender] of turn(references, run)) {
        record(target, row(backend), "ours", cost)
        record(target, row(backend), "reference", contender.call(command, pods[backend]))
      }
    }
  })
}

/** The pods that come and go at once, and how often at most. */
const CROWDS = [
  [8, 40],
  [32, 6],
  [100, 3],
] as const

/** Many ADDs and DELs at once: how long until all have ended, whether one waits much longer than others, and what a pod costs. */
export function measureParallel(rows: Rows, options: Options): void {
  const both = contenders("IPv4", options)
  for (const [size, most] of CROWDS) {
    for (const [name, contender] of both) measureRtnl(rows, name, contender, size)
    const measure = (target: Rows, run: number) => {
      const make = () => Array.from({ length: size }, () => new Pod())
      const pods = { reference: make(), ours: make() }
      for (const command of ["ADD", "DEL"] as const) {
        const row = (what: string) => rowOf(target, `${command} IPv4, ${size} at once, ${what}`)
        for (const [name, contender] of turn(both, run)) {
          const { wall, members } = contender.callAll(command, pods[name])
          const walls = members.map((member) => member.wall)
          row("ms")[name].push(wall)
          row("pods a second")[name].push((1000 * size) / wall)
          row("the slowest, times the median")[name].push(Math.max(...walls) / median(walls))
          row("CPU ms a pod")[name].push(members.reduce((sum, { cpu }) => sum + cpu, 0) / size)
        }
      }
      for (const pod of [...pods.reference, ...pods.ours]) pod[Symbol.dispose]()
    }
    repeat(rows, Math.min(most, Math.ceil(options.runs / 4)), measure, 1)
  }
}

/** How long the lock is wanted that the kernel makes and removes links under: what is measured otherwise is not traced. */
function measureRtnl(rows: Rows, side: Implementation, contender: Contender, size: number): void {
  const pods = Array.from({ length: size }, () => new Pod())
  for (const command of ["ADD", "DEL"] as const) {
    const share = shareOfRtnl(() => contender.callAll(command, pods))
    const row = `${command} IPv4, ${size} at once, % of the time in which somebody waits for the RTNL lock`
    if (share !== undefined) rowOf(rows, row)[side].push(share)
  }
  for (const pod of pods) pod[Symbol.dispose]()
}

export function measureMemory(rows: Rows, options: Options): void {
  const both = contenders("IPv4", options)
  const measure = (target: Rows) => {
    const sink = rowOf(target, "peak memory of ADD, MB")
    for (const [name, contender] of both) {
      const pod = new Pod()
      sink[name].push(contender.call("ADD", pod).peak)
      contender.call("DEL", pod)
    }
  }
  repeat(rows, Math.min(options.runs, 5), measure, 1)
}
