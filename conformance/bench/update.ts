import { cellsOf, type Rows, shown } from "./rows.ts"
import { median } from "./statistics.ts"

/** The columns of the two kinds of tables in docs/speed.md: that of scripts/bench, and one with milliseconds and megabytes. */
const [WIDE, NARROW] = [7, 4]

/** Returns the page with those rows of its tables that were measured as they are now. Rows that it does not have are not added. */
export function updated(page: string, rows: Rows): string {
  return page
    .split("\n")
    .map((line) => {
      const cells = line.split("|").slice(1, -1)
      const name = cells[0]?.trim().replace(/ \(Go \d+ times\)$/, "") ?? ""
      if (cells.length === WIDE) return wideRow(rows, name) ?? line
      return cells.length === NARROW ? (narrowRow(rows, name) ?? line) : line
    })
    .join("\n")
}

function wideRow(rows: Rows, name: string): string | undefined {
  const row = rows.get(name)
  return row && lineOf(cellsOf(name, row))
}

function narrowRow(rows: Rows, name: string): string | undefined {
  const [times, peaks] = [rows.get(`${name}, ms`), rows.get(`${name}, peak MB`)]
  if (!times) return undefined
  return lineOf([name, shown(median(times.reference)), shown(median(times.ours)), shown(median(peaks?.ours ?? []))])
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`.replaceAll("|  |", "| |").replaceAll("|  |", "| |")
}
