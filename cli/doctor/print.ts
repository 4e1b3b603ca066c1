import { colours } from "../terminal.ts"
import type { Diagnosis, Finding } from "./finding.ts"

/** Returns the diagnosis for people: findings, then what could not be seen, and in the last line what it amounts to. */
export function printDiagnosis({ findings, unseen, attachments }: Diagnosis): string {
  const parts = findings.map(printFinding)
  if (unseen.length > 0) parts.push(["not seen:", ...shownOf(unseen).map((sentence) => `  ${sentence}`), ""].join("\n"))
  return `${[...parts, summary(findings.length, unseen.length, attachments)].join("\n")}\n`
}

/** As many as an operator reads: without privileges there may be one for each pod. */
const SHOWN = 8

function shownOf(unseen: readonly string[]): string[] {
  const more = unseen.length - SHOWN
  return [...unseen.slice(0, SHOWN), ...(more > 0 ? [`and ${more} more: -o json lists them`] : [])]
}

function printFinding({ kind, about, problem, evidence, cause, mend }: Finding): string {
  const { red, bold, dim } = colours()
  const lines = [
    `${red("✗")} ${bold(about)}: ${problem} ${dim(`[${kind}]`)}`,
    ...evidence.map((line) => `    ${line}`),
    ...(cause === undefined ? [] : [`  cause: ${cause}`]),
    `  ${bold("mend:")}  ${mend}`,
  ]
  return `${lines.join("\n")}\n`
}

function summary(findings: number, unseen: number, attachments: number): string {
  const { red, green } = colours()
  const looked = `${attachments} ${attachments === 1 ? "attachment" : "attachments"} looked at`
  if (findings > 0) return red(`${findings} ${findings === 1 ? "finding" : "findings"}, ${looked}`)
  return unseen > 0 ? `no findings, but not all could be seen; ${looked}` : green(`healthy: ${looked}`)
}
