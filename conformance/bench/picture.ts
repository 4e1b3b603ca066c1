import { type Chart, drawChart, type Pair } from "../../scripts/chart.ts"
import { drawLineChart } from "../../scripts/line-chart.ts"
import { FILLINGS, rowOfFilling } from "./filling.ts"
import type { Rows } from "./rows.ts"
import { COMMANDS } from "./runs.ts"
import { median } from "./statistics.ts"

/** The rows that a pod's start and end are made of, each with its name in the picture. */
const SHOWN = [
  ["bridge", "IPv4"],
  ["bridge with ipMasq", "IPv4, ipMasq, Go by iptables"],
  ["portmap", "portmap"],
  ["bandwidth", "bandwidth"],
  ["all three, by cnitool", "chain"],
] as const

/** The cases of scripts/bench that measure them. */
export const SHOWN_CASES = ["ipv4", "masquerade", "portmap", "bandwidth", "chain"]

/** Draws ADD and DEL, as docs/speed.md shows them. */
export function picture(rows: Rows, circumstances: string): string {
  const panels = (["ADD", "DEL"] as const).map((command) => ({
    title: command,
    pairs: SHOWN.map(([name, row]) => pairOf(rows, name, rowName(command, row))),
  }))
  const chart: Chart = { title: "One call for a pod, from start to exit", circumstances, panels }
  return drawChart(chart)
}

function rowName(command: string, row: string): string {
  return row.startsWith("IPv4") ? `${command} ${row}, ms` : `${row} ${command}, ms`
}

function pairOf(rows: Rows, name: string, row: string): Pair {
  const samples = rows.get(row)
  if (!samples) throw new Error(`nothing was measured as "${row}", which the chart shows`)
  return { name, reference: median(samples.reference), ours: median(samples.ours) }
}

/** Draws what ADD, CHECK and DEL take on a node that fills. */
export function coursePicture(rows: Rows, circumstances: string): string {
  const courses = COMMANDS.map((command) => {
    const pairs = FILLINGS.map((filling) => pairOf(rows, command, `${rowOfFilling(filling)} ${command}, ms`))
    return { name: command, reference: pairs.map(({ reference }) => reference), ours: pairs.map(({ ours }) => ours) }
  })
  const title = "One call for a pod with three host ports, masquerading and limits"
  return drawLineChart({ title, circumstances, pods: FILLINGS, courses })
}
