import type { CniError } from "./errors.ts"

/** What is known of a call when it ends. */
export interface CallReport {
  readonly plugin: string
  /** The variables of the call, CNI_* and TRACEPARENT among them. */
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Undefined where the configuration could not be read. */
  readonly network: string | undefined
  readonly endedAt: Date
  /** Milliseconds from the start of the process. */
  readonly duration: number
  /** Milliseconds by phase. */
  readonly phases: Readonly<Record<string, number>>
  readonly removed: readonly string[]
  /** What the call failed with, if it did. */
  readonly failure: CniError | undefined
}

/** So many removals are named; of the rest only the number. */
const MAX_REMOVED = 100
const MAX_CAUSES = 10

/** One line of JSON, without its end. What is not known is left out. */
export function printCallReport(report: CallReport): string {
  const { variables, removed, failure } = report
  const known = (text: string | undefined) => text || undefined
  return JSON.stringify({
    time: report.endedAt.toISOString(),
    plugin: report.plugin,
    verb: variables["CNI_COMMAND"],
    network: report.network,
    containerId: known(variables["CNI_CONTAINERID"]),
    ifname: known(variables["CNI_IFNAME"]),
    netns: known(variables["CNI_NETNS"]),
    pod: argument(variables["CNI_ARGS"], "K8S_POD_NAME"),
    namespace: argument(variables["CNI_ARGS"], "K8S_POD_NAMESPACE"),
    traceId: traceId(variables["TRACEPARENT"]),
    ms: rounded(report.duration),
    phases: Object.fromEntries(Object.entries(report.phases).map(([name, time]) => [name, rounded(time)])),
    removed: removed.length === 0 ? undefined : removed.slice(0, MAX_REMOVED),
    removedTotal: removed.length > MAX_REMOVED ? removed.length : undefined,
    error: failure && {
      code: failure.code,
      msg: failure.message,
      details: failure.details || undefined,
      causes: causesOf(failure),
    },
  })
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100
}

/** One value of CNI_ARGS, without judging the others. */
function argument(args: string | undefined, key: string): string | undefined {
  const pair = args?.split(";").find((text) => text.startsWith(`${key}=`))
  return pair?.slice(key.length + 1) || undefined
}

/** The trace id in a TRACEPARENT of the form that W3C Trace Context gives it: `00-<trace id>-<parent id>-<flags>`. */
function traceId(parent: string | undefined): string | undefined {
  const [, id] = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/.exec(parent ?? "") ?? []
  return id
}

/** What the errors beneath say, the nearest first, where that is more than is said above. */
function causesOf({ message, cause }: Error): string[] | undefined {
  const causes: string[] = []
  let [above, next] = [message, cause]
  for (let depth = 0; next !== undefined && depth < MAX_CAUSES; depth++) {
    const words = next instanceof Error ? next.message : String(next)
    if (words !== above) causes.push(words)
    above = words
    next = next instanceof Error ? next.cause : undefined
  }
  return causes.length === 0 ? undefined : causes
}
