import { CniError } from "../../lib/cni/errors.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { type Command, DONE, FAILED, type Options, Unusable } from "../command.ts"
import { findingsOf } from "../doctor/checks.ts"
import type { Finding } from "../doctor/finding.ts"
import { findSubject } from "../doctor/subject.ts"
import { Survey } from "../survey/survey.ts"

export const repairCommand: Command = {
  usage: "repair [POD] --dry-run | --yes",
  purpose: "puts back what attachments lost behind their back",
  help: `Of what doctor finds: rules after nft flush ruleset or a firewall's reload, limits, the bridge's address, its ports,
forwarding. What is right is not touched; what only a new ADD can mend is said. --dry-run says what would be done.
Exit status: 0 nothing is wrong any more, 1 something is.
`,
  minArguments: 0,
  maxArguments: 1,
  options: { "--dry-run": "flag", "--yes": "flag" },
  run: ([name], options) => repair(name, options),
}

function repair(name: string | undefined, options: Options): number {
  if (options.has("--dry-run") === options.has("--yes")) throw new Unusable("say --dry-run or --yes")
  const findings = examine(name, (found) => {
    for (const finding of found) writeStdout(options.has("--yes") ? attempt(finding) : plan(finding))
  })
  if (options.has("--dry-run")) return findings.length > 0 ? FAILED : DONE
  const left = examine(name)
  writeStdout(
    left.length > 0 ? `${left.length} of ${findings.length} findings are left\n` : "nothing is wrong any more\n",
  )
  return left.length > 0 ? FAILED : DONE
}

/** Returns the findings, after `act` has had them while the survey that they came from was open. */
function examine(name: string | undefined, act = (_: readonly Finding[]): void => undefined): Finding[] {
  using survey = new Survey()
  const findings = findingsOf(survey, name === undefined ? undefined : findSubject(survey, name))
  act(findings)
  return findings
}

function plan({ about, kind, mend, repair: mends }: Finding): string {
  return mends ? `would mend ${about}: ${kind}\n` : `cannot mend ${about}: ${kind}: ${mend}\n`
}

function attempt(finding: Finding): string {
  const { about, kind, repair: mends } = finding
  if (!mends) return plan(finding)
  try {
    mends()
    return `mended ${about}: ${kind}\n`
  } catch (error) {
    const known = [CniError, Conflict, KernelError, SystemError].some((type) => error instanceof type)
    if (!known || !(error instanceof Error)) throw error
    return `failed to mend ${about}: ${kind}: ${error.message}\n`
  }
}
