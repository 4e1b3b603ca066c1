import { writeStdout } from "../../lib/sys/process.ts"
import { BLIND, type Command, FINDINGS, HEALTHY, type Options } from "../command.ts"
import { formatFrom } from "../format.ts"
import { Survey } from "../survey/survey.ts"
import { findingsOf } from "./checks.ts"
import { findingsInside } from "./inside/findings.ts"
import { printDiagnosis } from "./print.ts"
import { findSubject } from "./subject.ts"

export const doctorCommand: Command = {
  usage: "doctor [POD | CONTAINER | NETNS] [-o json]",
  purpose: "says what is wrong with the node's pod networks, or with one pod's",
  help: `Looks at networks, plugins, leases, what runtimes remember of their pods, and the kernel, and asks from inside the
pods: their gateway, another pod, their nameservers, and if packets of their MTU get through. Changes nothing (the
questions leave what a ping does: neighbours and connections that the kernel forgets), and starts no program. Who is
silent is asked twice and waited for each time, 1 s, or 2 s for a nameserver. Each finding says what is wrong, what was
seen, the probable cause, and what mends it.
Exit status: 0 healthy, 1 findings, 2 something, or everything, could not be looked at and the rest is healthy.
`,
  minArguments: 0,
  maxArguments: 1,
  options: { "-o": "value" },
  unable: BLIND,
  run: ([name], options) => examine(name, options),
}

function examine(name: string | undefined, options: Options): number {
  const format = formatFrom(options)
  using survey = new Survey()
  const subject = name === undefined ? undefined : findSubject(survey, name)
  const findings = findingsOf(survey, subject, (seen) => findingsInside(survey, subject, seen))
  const attachments = survey.attached.filter(
    ({ containerId }) => !subject || subject.containerIds.has(containerId),
  ).length
  const diagnosis = { findings, unseen: survey.unseen, attachments }
  writeStdout(format === "json" ? `${JSON.stringify(diagnosis, null, 2)}\n` : printDiagnosis(diagnosis))
  if (findings.length > 0) return FINDINGS
  return survey.unseen.length > 0 ? BLIND : HEALTHY
}
