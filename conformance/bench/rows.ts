import type { Implementation } from "../lab/executables.ts"
import { markdown, median, quantile } from "./statistics.ts"
import type { Cost } from "./stopwatch.ts"

export type Side = Implementation | "floor"

/** By the name of what was measured, its unit last: the samples of each side. */
export type Rows = Map<string, Record<Side, number[]>>

/** The end of the names of rows that were measured in software emulation. */
export const EMULATED = " (emulated)"

export function rowOf(rows: Rows, name: string): Record<Side, number[]> {
  const row = rows.get(name) ?? { ours: [], reference: [], floor: [] }
  rows.set(name, row)
  return row
}

export function record(rows: Rows, name: string, side: Side, { wall, cpu }: Cost): void {
  rowOf(rows, `${name}, ms`)[side].push(wall)
  rowOf(rows, `${name}, CPU ms`)[side].push(cpu)
}

/** As record, and the memory. */
export function recordWithPeak(rows: Rows, name: string, side: Side, cost: Cost): void {
  record(rows, name, side, cost)
  rowOf(rows, `${name}, peak MB`)[side].push(cost.peak)
}

/** The rows as a Markdown table. `reference` says who the other side is. */
export function table(rows: Rows, reference: string): string {
  const head = ["medians", reference, "90 %", "cni-ts", "90 %", `cni-ts / ${reference.split(" ")[0]}`, "kernel alone"]
  return markdown([head, ...[...rows].map(([name, row]) => cellsOf(name, row))])
}

/**
 * The cells of a row. If the other side was run less often, because it takes seconds, its name says so. Of software emulation, the ratio alone
 * says something.
 */
export function cellsOf(name: string, { reference, ours, floor }: Record<Side, number[]>): string[] {
  const ratio = median(ours) / median(reference)
  if (name.endsWith(EMULATED)) return [name, "", "", "", "", ratio.toFixed(2), ""]
  const fewer = 0 < reference.length && reference.length < ours.length
  return [
    fewer ? `${name} (Go ${reference.length} times)` : name,
    ...[reference, ours].flatMap((side) => [shown(median(side)), shown(quantile(side, 0.9))]),
    Number.isNaN(ratio) ? "" : ratio.toFixed(2),
    shown(median(floor)),
  ]
}

export function shown(value: number): string {
  return Number.isNaN(value) ? "" : value.toFixed(value < 100 ? 1 : 0)
}
