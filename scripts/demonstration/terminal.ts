const colourful = process.stdout.isTTY && process.env["NO_COLOR"] === undefined

function styled(code: number): (text: string) => string {
  return (text) => (colourful ? `\x1b[${code}m${text}\x1b[0m` : text)
}

/** Text in a style where stdout is a terminal, else the text as it is. */
export const bold = styled(1)
export const dim = styled(2)
export const red = styled(31)
export const green = styled(32)
export const cyan = styled(36)

export function say(...lines: string[]): void {
  for (const line of lines) console.log(line)
}

/** All lines of `text` behind the same margin. */
export function indent(text: string, margin = "   "): string {
  return text.replace(/^(?=.)/gm, margin)
}

/** Rows whose columns stand under each other. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

/** `6.4 ms` */
export function milliseconds(time: number): string {
  return `${time.toFixed(1)} ms`
}

/** Breaks `text` after commas and semicolons, into lines of at most `width` where there are enough of them. */
export function fold(text: string, width: number): string[] {
  const lines: string[] = [""]
  for (const part of text.split(/(?<=[,;])/)) {
    const last = lines.length - 1
    if (`${lines[last]}${part}`.length > width && lines[last] !== "") lines.push(part)
    else lines[last] += part
  }
  return lines
}

/** JSON in which whatever fits into a line of `width` stands on one. */
export function compactJson(value: unknown, width: number): string {
  const line = JSON.stringify(value)
  if (line.length <= width || typeof value !== "object" || value === null) return line
  const inner = (part: unknown): string => compactJson(part, width - 2)
  if (Array.isArray(value)) return `[\n${indent(value.map(inner).join(",\n"), "  ")}\n]`
  const entries = Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${inner(part)}`)
  return `{\n${indent(entries.join(",\n"), "  ")}\n}`
}
