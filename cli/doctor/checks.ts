import { unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { grouped } from "../grouped.ts"
import type { Attached } from "../survey/attached.ts"
import type { Survey } from "../survey/survey.ts"
import { checkBridges } from "./checks/bridges.ts"
import { checkChained } from "./checks/chained.ts"
import { checkForward } from "./checks/forward.ts"
import { checkHostPorts } from "./checks/host-ports.ts"
import { checkKnown } from "./checks/known.ts"
import { checkLeases } from "./checks/leases.ts"
import { checkNetworks } from "./checks/networks.ts"
import { checkNode } from "./checks/node.ts"
import { checkOrphans } from "./checks/orphans.ts"
import { checkPlugins } from "./checks/plugins.ts"
import { checkPods } from "./checks/pods.ts"
import { checkRoutes } from "./checks/routes.ts"
import { checkServices } from "./checks/services.ts"
import type { Check, Finding, Subject } from "./finding.ts"

/** In the order in which findings are said: the cause of most others comes last, where the eye is. */
const checks: readonly Check[] = [
  checkPods,
  checkRoutes,
  checkChained,
  checkHostPorts,
  checkLeases,
  checkBridges,
  checkForward,
  checkServices,
  checkOrphans,
  checkNode,
  checkKnown,
  checkPlugins,
  checkNetworks,
]

/** Returns all that is wrong with the node, or with the subject alone; `ask` finds more, and knows what is found already. */
export function findingsOf(
  survey: Survey,
  subject: Subject,
  ask = (_: readonly Finding[]): readonly Finding[] => [],
): Finding[] {
  const seen = checks.flatMap((check) => survey.attempt(() => [...check(survey, subject)]) ?? [])
  return withoutForgotten(survey, [...ask(seen), ...seen])
}

/** Leaves out what is about pods that their runtime has forgotten since: what they lacked, a DEL has removed. */
function withoutForgotten(survey: Survey, findings: readonly Finding[]): Finding[] {
  const byName = grouped(survey.attached, ({ pod }) => pod)
  const isForgotten = ({ path }: Attached) => survey.attempt(() => unlessMissing(() => fileStatus(path)) === undefined)
  return findings.filter(({ about }) => byName.get(about)?.every(isForgotten) !== true)
}
