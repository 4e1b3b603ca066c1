/** The value that `share` of the samples do not exceed; 0.5 is the median. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const position = share * (sorted.length - 1)
  const below = sorted[Math.floor(position)] ?? Number.NaN
  const above = sorted[Math.ceil(position)] ?? Number.NaN
  return below + (above - below) * (position % 1)
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** A GitHub Markdown table, its source aligned too: the first column to the left, the others to the right. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`
  const rule = line(widths.map((width, column) => `${"-".repeat(width - (column ? 1 : 0))}${column ? ":" : ""}`))
  return [line(head), rule, ...rows.slice(1).map(line)].join("\n")
}
