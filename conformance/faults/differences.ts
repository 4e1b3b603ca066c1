/** Returns the differences of two snapshots, as `path: before -> after`; at most a few, cut short. */
export function differences(before: unknown, after: unknown): string[] {
  const found: string[] = []
  compare(before, after, "", found)
  return found.slice(0, 8)
}

function compare(before: unknown, after: unknown, path: string, found: string[]): void {
  if (Object.is(before, after)) return
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(before[key], after[key], `${path}/${key}`, found)
    }
  } else {
    found.push(`${path}: ${brief(before)} -> ${brief(after)}`)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 120)
}
