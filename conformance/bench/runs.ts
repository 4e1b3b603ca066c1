import type { Rows } from "./rows.ts"

export interface Options {
  readonly runs: number
  readonly dir: string
  readonly booted: boolean
  /** The other side's directory, if it is not the Go plugins. */
  readonly against: string
}

const WARM_UP = 3

export const COMMANDS = ["ADD", "CHECK", "DEL"] as const

/** Calls `measure` once for each run, after a few whose rows are thrown away. */
export function repeat(rows: Rows, runs: number, measure: (target: Rows, run: number) => void, warmUp = WARM_UP): void {
  for (let run = -warmUp; run < runs; run++) measure(run < 0 ? new Map() : rows, run)
}

/** The two go by turns, so that neither always runs behind the other. */
export function turn<Entry>(entries: readonly Entry[], run: number): Entry[] {
  return run % 2 === 0 ? [...entries] : [...entries].reverse()
}
