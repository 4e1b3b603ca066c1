import type { CniError } from "./errors.ts"

/** A moment of a call. */
export interface CallMoment {
  readonly plugin: string
  /** The variables of the call, CNI_* and TRACEPARENT among them. */
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Undefined if the configuration could not be read. */
  readonly network: string | undefined
  readonly at: Date
  /** Milliseconds from the start of the process. */
  readonly sinceStart: number
}

/** A call that has ended. */
export interface CallReport extends CallMoment {
  /** Milliseconds by phase. */
  readonly phases: Readonly<Record<string, number>>
  readonly removed: readonly string[]
  /** The error that the call ended with, if it did. */
  readonly failure: CniError | undefined
}

/** Bounds how many removals are named; of the rest only the number is said. */
const MAX_REMOVED = 100
const MAX_CAUSES = 10

/** Prints one line of JSON about a whole call, without its end. What is not known is left out. */
export function printCallReport(report: CallReport): string {
  const { removed, failure } = report
  return JSON.stringify({
    ...printMoment(report),
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

/** Prints one line of JSON about a netlink message of the call, without its end. */
export function printNetlinkMessage(moment: CallMoment, message: object): string {
  return JSON.stringify({ ...printMoment(moment), netlink: message })
}

function printMoment({ plugin, variables, network, at, sinceStart }: CallMoment): object {
  const known = (text: string | undefined) => text || undefined
  return {
    time: at.toISOString(),
    plugin,
    verb: variables["CNI_COMMAND"],
    network,
    containerId: known(variables["CNI_CONTAINERID"]),
    ifname: known(variables["CNI_IFNAME"]),
    netns: known(variables["CNI_NETNS"]),
    pod: argument(variables["CNI_ARGS"], "K8S_POD_NAME"),
    namespace: argument(variables["CNI_ARGS"], "K8S_POD_NAMESPACE"),
    traceId: traceId(variables["TRACEPARENT"]),
    ms: rounded(sinceStart),
  }
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100
}

/** Returns one value of CNI_ARGS, without judging the others. */
function argument(args: string | undefined, key: string): string | undefined {
  const pair = args?.split(";").find((text) => text.startsWith(`${key}=`))
  return pair?.slice(key.length + 1) || undefined
}

/** Returns the trace id in a TRACEPARENT of the form that W3C Trace Context gives it: `00-<trace id>-<parent id>-<flags>`. */
function traceId(parent: string | undefined): string | undefined {
  const [, id] = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/.exec(parent ?? "") ?? []
  return id
}

/** Returns what the errors beneath say, the nearest first, if that is more than is said above. */
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
