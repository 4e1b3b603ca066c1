import type { Family } from "../../../lib/ip/address.ts"
import type { Attached } from "../../survey/attached.ts"
import type { Finding } from "../finding.ts"

/** Pods that are named; a node has two hundred. */
const NAMED = 4

/** The outcome for one pod. */
export interface Symptom {
  readonly kind: string
  readonly attached: Attached
  readonly family: Family
  /** The other pod, if that is whom it asked. */
  readonly peer?: Attached
  readonly problem: string
  /** The same of several pods: what it is about then, and what is wrong with that. */
  readonly together: { readonly about: string; readonly problem: (pods: string) => string }
  readonly evidence: readonly string[]
  readonly cause: string
  readonly mend: string
}

/** Returns a finding about each pod, or a single one if several pods have met the same. */
export function toFindings(symptoms: readonly Symptom[]): Finding[] {
  const groups = new Map<string, Symptom[]>()
  for (const symptom of symptoms) {
    const key = `${symptom.kind} ${symptom.together.about} ${symptom.family} ${symptom.cause}`
    const group = groups.get(key)
    if (group) group.push(symptom)
    else groups.set(key, [symptom])
  }
  return [...groups.values()].flatMap((group) => findingOf(group) ?? [])
}

function findingOf(group: readonly Symptom[]): Finding | undefined {
  const [first] = group
  if (!first) return undefined
  const { kind, problem, together, evidence, cause, mend } = first
  const pods = [...new Set(group.map(({ attached: { pod } }) => pod))]
  const [pod = ""] = pods
  if (pods.length === 1) return { kind, about: pod, problem, evidence, cause, mend }
  const rest = pods.length > NAMED ? ` and ${pods.length - NAMED} more` : ""
  const asked = `asked by ${pods.slice(0, NAMED).join(", ")}${rest}; in ${pod}:`
  return {
    kind,
    about: together.about,
    problem: together.problem(`${pods.length} pods`),
    evidence: [asked, ...evidence],
    cause,
    mend,
  }
}
