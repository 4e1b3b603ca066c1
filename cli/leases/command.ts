import { type RangeSet, rangeOf } from "../../ipam/host-local/range-set.ts"
import { attachmentInAlias } from "../../lib/attachment/alias.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { formatRange } from "../../lib/ip/range.ts"
import { writeStderr, writeStdout } from "../../lib/sys/process.ts"
import { BLIND, type Command, DONE, type Options, Unusable } from "../command.ts"
import { formatFrom } from "../format.ts"
import { type Lease, rangeSetsOf } from "../survey/leases.ts"
import { Survey } from "../survey/survey.ts"
import { countUnseen } from "../survey/unseen.ts"
import { table } from "../table.ts"
import { freeSpans } from "./free.ts"

export const leasesCommand: Command = {
  usage: "leases [NETWORK] [--free] [-o json]",
  purpose: "lists addresses that host-local gave, and whose they are",
  help: `Of each lease: network, address, pod, since when, and if the pod is alive: if it has a network namespace.
--free lists instead what is left of each range.
Exit status: 0 done, 2 not all leases, or what runtimes remember, could be read.
`,
  minArguments: 0,
  maxArguments: 1,
  options: { "--free": "flag", "-o": "value" },
  unable: BLIND,
  run: ([network], options) => list(network, options),
}

/** A lease, and what is known of its holder. */
interface ListedLease {
  readonly network: string
  readonly address: string
  readonly pod: string
  readonly interface: string
  /** ISO 8601. */
  readonly since: string
  /** `alive`, or why not. */
  readonly state: string
}

function list(network: string | undefined, options: Options): number {
  const format = formatFrom(options)
  using survey = new Survey()
  if (network !== undefined && !survey.leaseDirectories.some((directory) => directory.network === network))
    throw new Unusable(`no network ${JSON.stringify(network)} has leases of host-local here`)
  const isAsked = (name: string) => network === undefined || name === network
  if (options.has("--free")) {
    const spans = listFree(survey, isAsked)
    const rows = spans.map(({ network: name, range, free }) => [name, range, free.join(" ") || "nothing"])
    writeStdout(format === "json" ? `${JSON.stringify(spans, null, 2)}\n` : table(["NETWORK", "RANGE", "FREE"], rows))
    return statusOf(survey)
  }
  const leases = survey.leases.filter((lease) => isAsked(lease.network)).map(describing(survey))
  const rows = leases.map((lease) => [
    lease.network,
    lease.address,
    lease.pod,
    lease.interface,
    lease.since,
    lease.state,
  ])
  const heads = ["NETWORK", "ADDRESS", "POD", "INTERFACE", "SINCE", "STATE"]
  writeStdout(format === "json" ? `${JSON.stringify(leases, null, 2)}\n` : table(heads, rows))
  return statusOf(survey)
}

/** Returns the exit status, and says on stderr if not all could be seen. */
function statusOf({ unseen }: Survey): number {
  if (unseen.length === 0) return DONE
  writeStderr(`cni-ts leases: ${countUnseen(unseen.length)}\n`)
  return BLIND
}

function describing(survey: Survey): (lease: Lease) => ListedLease {
  const holders = new Map(survey.attached.map((pod) => [`${pod.network} ${pod.containerId}`, pod]))
  const isWhole = survey.cache.unreadable.length === 0
  const linked = new Set(survey.links.map(({ alias }) => attachmentInAlias(alias)?.containerId))
  return ({ network, address, containerId = "", ifname = "", since }) => {
    const holder = holders.get(`${network} ${containerId}`)
    const gone = holder?.netns !== undefined && survey.isGone(holder.netns) ? "its namespace is gone" : "alive"
    const memory = isWhole ? "no runtime remembers it" : "no memory of a runtime that can be read is of it"
    const unknown = linked.has(containerId) ? `alive, but ${memory}` : memory
    return {
      network,
      address: formatAddress(address),
      pod: holder?.pod ?? (containerId.slice(0, 12) || "nobody"),
      interface: ifname,
      since: new Date(Number(since) * 1000).toISOString().replace(".000Z", "Z"),
      state: holder ? gone : unknown,
    }
  }
}

interface FreeRange {
  readonly network: string
  readonly range: string
  /** Addresses, and spans of them: `10.1.0.5-10.1.0.9`. */
  readonly free: readonly string[]
}

function listFree(survey: Survey, isAsked: (network: string) => boolean): FreeRange[] {
  return survey.networks.flatMap(({ list }) => {
    if (!list || !isAsked(list.name)) return []
    const sets = survey.attempt(() => rangeSetsOf(list)) ?? []
    return sets.flatMap((set) => freeIn(survey, list.name, set))
  })
}

function freeIn({ leases }: Survey, network: string, set: RangeSet): FreeRange[] {
  const taken = leases.filter((lease) => lease.network === network && rangeOf(set, lease.address))
  return set.map((range) => ({
    network,
    range: formatRange(range),
    free: freeSpans(range, [...taken.map(({ address }) => address), ...(range.gateway ? [range.gateway] : [])]),
  }))
}
