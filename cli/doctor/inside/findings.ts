import type { Survey } from "../../survey/survey.ts"
import type { Finding, Subject } from "../finding.ts"
import { askInside } from "./ask.ts"
import { gatewaySymptoms } from "./gateways.ts"
import { nameserverSymptoms } from "./nameservers.ts"
import { peerSymptoms } from "./peers.ts"
import { type Symptom, toFindings } from "./symptom.ts"

/** Of a pod that has these, others are no news. */
const FIRST = ["gateway-silent", "gateway-taken"]

/** Findings about rules and settings of the node that say why packets are lost on their way. */
const LOST = ["no-forwarding", "forward-drops", "bridge-filter", "no-bridge-nf", "rp-filter", "conntrack-full"]

/** The findings that explain a pod's symptom. */
const EXPLAINING: Readonly<Record<string, readonly string[]>> = {
  "pod-silent": LOST,
  "nameserver-silent": [...LOST, "masquerade", "no-default-route", "route-elsewhere"],
}

/** Returns what pods find if they ask from inside, unless a finding that is known already says why. */
export function findingsInside(survey: Survey, subject: Subject, known: readonly Finding[]): Finding[] {
  const plans = askInside(survey, subject, known)
  const interfaces = plans.flatMap((plan) => plan.interfaces)
  const symptoms = [
    ...plans.flatMap((plan) => [...nameserverSymptoms(plan)]),
    ...peerSymptoms(interfaces),
    ...interfaces.flatMap((plan) => [...gatewaySymptoms(survey, plan)]),
  ]
  return toFindings(symptoms.filter((symptom) => !isExplained(symptom, symptoms, known)))
}

function isExplained(
  { kind, attached, peer, family }: Symptom,
  symptoms: readonly Symptom[],
  known: readonly Finding[],
) {
  const kinds = EXPLAINING[kind]
  if (!kinds) return false
  const pods = [attached.pod, peer?.pod]
  const isFirst = (other: Symptom) => FIRST.includes(other.kind) && other.family === family
  return (
    symptoms.some((other) => isFirst(other) && pods.includes(other.attached.pod)) ||
    known.some((finding) => kinds.includes(finding.kind))
  )
}
