import type { NetworkFile } from "../../survey/network-files.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds a node without a network, and files that are none. */
export const checkNetworks: Check = function* (survey: Survey, subject): Generator<Finding> {
  const { networks, places } = survey
  if (subject || !survey.knowsNetworks) return
  for (const file of networks) if (file.problem !== undefined) yield brokenList(file, file.problem)
  if (networks.some(({ list }) => list)) return
  yield {
    kind: "no-network",
    about: places.networks,
    problem: "no network is configured, so that no pod of its own network can start",
    evidence: [`ls ${places.networks}: ${networks.map(({ path }) => path).join(" ") || "nothing that is a network"}`],
    mend: `cni-ts configure FILE ${places.networks}/10-NAME.conflist`,
  }
}

function brokenList({ path }: NetworkFile, problem: string): Finding {
  return {
    kind: "broken-network",
    about: path,
    problem: "this file is no network configuration",
    evidence: [`${path}: ${problem}`],
    cause: "runtimes skip it, and take the next file, or none",
    mend: `correct ${path}`,
  }
}
