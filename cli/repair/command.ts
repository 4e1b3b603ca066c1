import { CniError } from "../../lib/cni/errors.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { BLIND, type Command, FINDINGS, HEALTHY, type Options, Unusable } from "../command.ts"
import { findingsOf } from "../doctor/checks.ts"
import type { Diagnosis, Finding } from "../doctor/finding.ts"
import { findSubject } from "../doctor/subject.ts"
import { formatFrom } from "../format.ts"
import { Survey } from "../survey/survey.ts"
import { countUnseen } from "../survey/unseen.ts"

export const repairCommand: Command = {
  usage: "repair [POD] --dry-run | --yes [-o json]",
  purpose: "puts back what attachments lost behind their back",
  help: `Of what doctor finds: rules after nft flush ruleset or a firewall's reload, limits, the bridge's address, its ports,
forwarding. What is right is not touched; what only a new ADD can mend is said. --dry-run says what would be done.
Exit status: 0 nothing is wrong any more, 1 something is, 2 it could not look.
`,
  minArguments: 0,
  maxArguments: 1,
  options: { "--dry-run": "flag", "--yes": "flag", "-o": "value" },
  unable: BLIND,
  run: ([name], options) => repair(name, options),
}

function repair(name: string | undefined, options: Options): number {
  const format = formatFrom(options)
  if (options.has("--dry-run") === options.has("--yes")) throw new Unusable("say --dry-run or --yes")
  const mends: Mend[] = []
  const { findings, unseen } = examine(name, (found) => {
    for (const finding of found) {
      const mend = options.has("--yes") ? attempt(finding) : plan(finding)
      if (format === "text") writeStdout(`${sentence(mend)}\n`)
      mends.push(mend)
    }
  })
  const left = options.has("--yes") ? examine(name).findings.length : findings.length
  if (format === "json") writeStdout(`${JSON.stringify({ mends, left, unseen }, null, 2)}\n`)
  else {
    if (unseen.length > 0) writeStdout(`${countUnseen(unseen.length)}\n`)
    if (left === 0)
      writeStdout(`nothing ${unseen.length > 0 ? "else " : ""}is wrong${findings.length > 0 ? " any more" : ""}\n`)
    else if (options.has("--yes")) writeStdout(`${left} of ${findings.length} findings are left\n`)
  }
  if (left > 0) return FINDINGS
  return unseen.length > 0 ? BLIND : HEALTHY
}

/** Returns what doctor finds without asking from inside the pods; `act` has the findings while the survey that they came from is open. */
function examine(
  name: string | undefined,
  act = (_: readonly Finding[]): void => undefined,
): Pick<Diagnosis, "findings" | "unseen"> {
  using survey = new Survey()
  const findings = findingsOf(survey, name === undefined ? undefined : findSubject(survey, name))
  act(findings)
  return { findings, unseen: survey.unseen }
}

/** A finding, and what is or would be done about it. */
interface Mend {
  readonly kind: string
  readonly about: string
  readonly outcome: "would mend" | "mended" | "cannot mend" | "failed to mend"
  /** The command that mends it, or why that failed. */
  readonly more: string
}

function sentence({ kind, about, outcome, more }: Mend): string {
  const isDone = outcome === "mended" || outcome === "would mend"
  return `${outcome} ${about}: ${kind}${isDone ? "" : `: ${more}`}`
}

function plan({ about, kind, mend, repair: mends }: Finding): Mend {
  return { kind, about, outcome: mends ? "would mend" : "cannot mend", more: mend }
}

function attempt(finding: Finding): Mend {
  const { about, kind, mend, repair: mends } = finding
  if (!mends) return plan(finding)
  try {
    mends()
    return { kind, about, outcome: "mended", more: mend }
  } catch (error) {
    const known = [CniError, Conflict, KernelError, SystemError].some((type) => error instanceof type)
    if (!known || !(error instanceof Error)) throw error
    return { kind, about, outcome: "failed to mend", more: error.message }
  }
}
