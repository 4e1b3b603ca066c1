import type { Survey } from "../survey/survey.ts"

/** Something that is wrong. */
export interface Finding {
  /** Its kind, which scripts can rely on: `bridge-down`. */
  readonly kind: string
  /** The pod, link, network or file that it is about. */
  readonly about: string
  /** A few words on what is wrong. */
  readonly problem: string
  /** Observations, a line each, as the operator's own tools would show it. */
  readonly evidence: readonly string[]
  /** The probable cause; undefined if the problem says it. */
  readonly cause?: string | undefined
  /** The command that mends it, or what to do if there is none. */
  readonly mend: string
  /** Does what `mend` says, without touching what is right; undefined if only the operator or a new ADD can. */
  readonly repair?: () => void
}

/** The pod that doctor was asked about, by name, container or namespace; undefined for the whole node. */
export type Subject = { readonly containerIds: ReadonlySet<string> } | undefined

/** Looks for findings of a few kinds. Reads only; what it cannot see it leaves to `survey.attempt()`. */
export type Check = (survey: Survey, subject: Subject) => Iterable<Finding>

/** The outcome of one examination. */
export interface Diagnosis {
  readonly findings: readonly Finding[]
  /** Sentences, each about something that could not be looked at. */
  readonly unseen: readonly string[]
  /** The number of attachments that were looked at. */
  readonly attachments: number
}
