import { removeFile, writeNew } from "../../lib/sys/file.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { BLIND, type Command, FINDINGS, HEALTHY, type Options } from "../command.ts"
import { findingsOf } from "../doctor/checks.ts"
import { formatFrom } from "../format.ts"
import { Survey } from "../survey/survey.ts"
import { drawNode } from "./picture.ts"
import { drawSvg } from "./svg.ts"
import { drawTree } from "./tree.ts"

export const showCommand: Command = {
  usage: "show [--svg FILE] [-o json]",
  purpose: "draws the node: uplinks, bridges, pods with addresses, ports and limits",
  help: `What doctor finds without asking from inside the pods is marked. --svg FILE writes the picture as a file for a browser or an
incident report.
Exit status: 0 healthy, 1 something is marked, 2 something could not be looked at and the rest is healthy.
`,
  minArguments: 0,
  maxArguments: 0,
  options: { "--svg": "value", "-o": "value" },
  unable: BLIND,
  run: (_, options) => show(options),
}

function show(options: Options): number {
  const format = formatFrom(options)
  using survey = new Survey()
  const findings = findingsOf(survey, undefined)
  const picture = drawNode(survey, findings)
  const file = options.get("--svg")
  if (file !== undefined) {
    removeFile(file)
    writeNew(file, drawSvg(picture), { synced: false })
  } else {
    writeStdout(format === "json" ? `${JSON.stringify(picture, null, 2)}\n` : drawTree(picture))
  }
  if (findings.length > 0) return FINDINGS
  return survey.unseen.length > 0 ? BLIND : HEALTHY
}
