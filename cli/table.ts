/** Returns the rows below the heads, in columns two spaces apart; the last one is not padded. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, ...rows]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  const padded = (cell: string, column: number) =>
    column === heads.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)
  return lines.map((line) => `${line.map(padded).join("  ").trimEnd()}\n`).join("")
}
