import { colours } from "../terminal.ts"
import type { Replayed } from "./replay.ts"

/** Returns a line for each call, with what is different below it, and in the last line what it amounts to. */
export function printReplay(calls: readonly Replayed[]): string {
  const width = Math.max(...calls.map(({ file }) => nameOf(file).length))
  const lines = calls.flatMap((call) => [lineOf(call, width), ...differencesOf(call)])
  return `${lines.join("\n")}\n\n${summaryOf(calls)}\n`
}

function nameOf(file: string): string {
  return file.replace(/\.json$/, "")
}

function lineOf({ file, verdict, reason, milliseconds }: Replayed, width: number): string {
  const { green, red, dim } = colours()
  const name = nameOf(file).padEnd(width)
  if (verdict === "not replayed") return dim(`- ${name}  not replayed: ${reason}`)
  const times = [timeOf("took", milliseconds.recorded), timeOf("now", milliseconds.replayed)].filter(Boolean).join(", ")
  return `${verdict === "same" ? green("✓") : red("✗")} ${name}  ${times}`
}

function timeOf(word: string, milliseconds: number | undefined): string {
  return milliseconds === undefined ? "" : `${word} ${milliseconds.toFixed(1)} ms`
}

function differencesOf({ differences }: Replayed): string[] {
  return differences.flatMap(({ what, recorded, replayed }) => [
    `    ${what} was ${shown(recorded)}`,
    `    ${" ".repeat(what.length)}  is ${shown(replayed)}`,
  ])
}

function shown(text: string): string {
  const line = text.replace(/\s+/g, " ") || "nothing"
  return line.length > 300 ? `${line.slice(0, 300)}...` : line
}

function summaryOf(calls: readonly Replayed[]): string {
  const { green, red } = colours()
  const count = (verdict: Replayed["verdict"]) => calls.filter((call) => call.verdict === verdict).length
  const [same, different, others] = [count("same"), count("different"), count("not replayed")]
  const rest = others > 0 ? `; ${others} not replayed` : ""
  if (different === 0) return green(`${same} answered as recorded${rest}`)
  return red(`${different} of ${same + different} answered otherwise than recorded${rest}`)
}
