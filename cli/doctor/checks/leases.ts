import { formatSet, type RangeSet, rangeOf } from "../../../ipam/host-local/range-set.ts"
import { attachmentInAlias } from "../../../lib/attachment/alias.ts"
import { type Address, formatAddress } from "../../../lib/ip/address.ts"
import { grouped } from "../../grouped.ts"
import type { Attached } from "../../survey/attached.ts"
import { type Lease, rangeSetsOf, settledBy } from "../../survey/leases.ts"
import type { NetworkList } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds leases without pods, pods without leases, addresses given twice, and ranges that have no room. */
export const checkLeases: Check = function* (survey: Survey, subject): Generator<Finding> {
  yield* addressesTwice(survey, subject)
  yield* withoutLease(survey, subject)
  if (subject) return
  yield* withoutPod(survey)
  for (const { list } of survey.networks) if (list) yield* fullRanges(survey, list)
}

const isOf = ({ network, containerId }: Lease, attached: Attached) =>
  attached.network === network && attached.containerId === containerId

function* withoutPod({ leases, attached, links, cache }: Survey): Generator<Finding> {
  if (cache.unreadable.length > 0) return // theirs may be the leases
  const living = new Set(links.map(({ alias }) => attachmentInAlias(alias)?.containerId))
  const known = new Set(attached.map(({ network, containerId }) => `${network} ${containerId}`))
  const isGone = ({ network, containerId }: Lease) =>
    !living.has(containerId) && !known.has(`${network} ${containerId}`)
  const stale = leases.filter(settledBy(Date.now())).filter(isGone)
  for (const [network, found] of grouped(stale, ({ network }) => network)) {
    const shown = found.slice(0, 5).map(({ path, containerId = "nobody" }) => `${path}: ${containerId}`)
    if (found.length > shown.length) shown.push(`and ${found.length - shown.length} more`)
    yield {
      kind: "stale-leases",
      about: network,
      problem: `${found.length} leased addresses are of pods that no runtime here remembers`,
      evidence: shown,
      cause: "the node lost its pods without a DEL: a crash, or a deleted /var/lib/cni",
      mend: `cni-ts gc ${network} --yes`,
    }
  }
}

function* withoutLease(survey: Survey, subject: Parameters<Check>[1]): Generator<Finding> {
  const { attached, leaseDirectories } = survey
  const keyOf = (network: string, { family, value }: Address) => `${network} ${family} ${value}`
  const leases = new Map(survey.leases.map((lease) => [keyOf(lease.network, lease.address), lease]))
  for (const pod of attached) {
    if (subject && !subject.containerIds.has(pod.containerId)) continue
    const directory = leaseDirectories.find(({ network }) => network === pod.network)
    if (!directory || !usesHostLocal(pod) || survey.isGone(pod.netns) || !survey.knowsLeases(pod.network)) continue
    for (const { address } of pod.result.ips) {
      const lease = leases.get(keyOf(pod.network, address.address))
      if (lease && isOf(lease, pod)) continue
      const text = formatAddress(address.address)
      yield {
        kind: "no-lease",
        about: pod.pod,
        problem: `its address ${text} is not leased to it`,
        evidence: [`${directory.path}/${text}: ${lease ? (lease.containerId ?? "empty") : "no such file"}`],
        cause: "the lease was deleted, or the directory was emptied: the next pod may get the same address",
        mend: "restart the pod",
      }
    }
  }
}

function usesHostLocal({ list }: Attached): boolean {
  return list?.plugins.some(({ fields }) => fields.fields("ipam")?.string("type") === "host-local") ?? false
}

function* addressesTwice(survey: Survey, subject: Parameters<Check>[1]): Generator<Finding> {
  const given = survey.attached
    .filter(({ netns, ifname }) => ifname !== "lo" && !survey.isGone(netns)) // of which each pod has 127.0.0.1
    .flatMap((pod) => pod.result.ips.map(({ address: { address } }) => ({ pod, address })))
  const keyOf = ({ pod, address }: (typeof given)[number]) => `${pod.network} ${address.family} ${address.value}`
  for (const [, holders] of grouped(given, keyOf)) {
    const containers = new Set(holders.map(({ pod }) => pod.containerId))
    if (containers.size < 2 || (subject && ![...containers].some((id) => subject.containerIds.has(id)))) continue
    const [first] = holders
    if (!first) continue
    yield {
      kind: "address-twice",
      about: formatAddress(first.address),
      problem: `${containers.size} pods of ${first.pod.network} have this address`,
      evidence: holders.map(({ pod }) => `${pod.path}: ${pod.pod}`),
      cause: "their lease directory was emptied, or two networks of one name used different ones",
      mend: "restart all of these pods but one",
    }
  }
}

/** A range set of which so much is leased is nearly full. */
const NEARLY = 0.9

function* fullRanges(survey: Survey, list: NetworkList): Generator<Finding> {
  const { name } = list
  for (const set of survey.attempt(() => rangeSetsOf(list)) ?? []) {
    const taken = survey.leases.filter((lease) => lease.network === name && rangeOf(set, lease.address)).length
    const room = roomIn(set)
    if (taken < room * NEARLY) continue
    const full = taken >= room
    yield {
      kind: full ? "range-exhausted" : "range-nearly-exhausted",
      about: name,
      problem: full ? "no address is left: no further pod can start" : `${room - taken} of ${room} addresses are left`,
      evidence: [`${formatSet(set)}: ${taken} of ${room} leased`],
      mend: `cni-ts leases ${name} shows whose they are; or give the network a larger range`,
    }
  }
}

/** Returns how many addresses of the set can be leased. */
function roomIn(set: RangeSet): number {
  const sizes = set.map(({ first, last, gateway }) => {
    const inside = gateway && gateway.value >= first.value && gateway.value <= last.value
    return last.value - first.value + (inside ? 0n : 1n)
  })
  return Number(sizes.reduce((sum, size) => sum + size, 0n))
}
