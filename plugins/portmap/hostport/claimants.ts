import { attachmentAlias } from "../../../lib/attachment/alias.ts"
import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { hostVethName, isHostVethName } from "../../../lib/attachment/names.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { formatAddress } from "../../../lib/ip/address.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import { type Link, listLinks, readLink } from "../../../lib/netlink/route/link.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { formatHostPort, groupByPort, type PortMapping, portKey, protocols } from "../port-mapping.ts"
import { type PodRule, takes } from "./rule-list.ts"
import { attachmentIn, tagOf } from "./rule-tag.ts"

/**
 * Returns the rules of pods that have one of the ports and are gone. Throws Conflict if one of them may still exist: packets would go on
 * being led to it. Other attachments of the container may have the port too: packets reach the container by any of them.
 */
export function findGoneClaimants(
  host: NetworkStack,
  attachment: Attachment,
  wanted: PodMappings,
  others: readonly PodRule[],
): Set<PodRule> {
  const { comment } = tagOf(attachment)
  const claimants = groupByPort(
    others.filter((rule) => rule.comment !== comment),
    ({ reading }) => portKey(reading.protocol ?? 0, reading.destinationPort ?? 0),
  )
  const gone = new Set<PodRule>()
  for (const mapping of wanted.mappings) {
    const candidates = claimants.get(portKey(protocols[mapping.protocol], mapping.hostPort)) ?? []
    const taken = candidates.find((rule) => takes(rule, mapping) && !gone.has(rule))
    if (!taken) continue
    if (!isGone(host, attachment, wanted, taken)) throw takenBy(taken, mapping)
    for (const rule of others) if (rule.comment === taken.comment && rule.note === taken.note) gone.add(rule)
  }
  return gone
}

/**
 * Returns true if the rule's pod is gone: no network namespace has its address, and neither the computed name, its alias, nor an unmarked veth
 * on the same bridge exists. That proves it only on a network whose pods have veths of computed names, as this pod has. This pod's own
 * namespace is not searched: users may request any address.
 */
function isGone(host: NetworkStack, attachment: Attachment, { netns }: PodMappings, rule: PodRule): boolean {
  const claimant = attachmentIn(rule)
  const { to } = rule.reading
  if (!to || claimant?.network !== attachment.network) return false
  const veth = readLink(host.rtnetlink, hostVethName(attachment))
  if (!veth || mayHaveVeth(host, claimant, veth)) return false
  return readLiveAddresses(netns)?.has(formatAddress(to)) === false
}

/**
 * Returns true if a veth has the attachment's computed name; or its alias, in case it was renamed; or has no alias and is on the bridge of
 * `sibling`, as one that the Go plugin made.
 */
function mayHaveVeth({ rtnetlink }: NetworkStack, attachment: Attachment, sibling: Link): boolean {
  const [name, alias] = [hostVethName(attachment), attachmentAlias(attachment)]
  const { links, partial } = listLinks(rtnetlink)
  const mayBe = (link: Link) =>
    link.name === name ||
    link.alias === alias ||
    (link.alias === "" && link.master === sibling.master && !isHostVethName(link.name))
  return partial || links.some((link) => link.kind === "veth" && mayBe(link))
}

function takenBy(rule: PodRule, mapping: PortMapping): Conflict {
  const { network, containerId, ifname } = attachmentIn(rule) ?? {}
  const whose = rule.comment === undefined ? "a rule without a comment" : `container ${containerId ?? rule.comment}`
  const where = network && ` (network ${network}, interface ${ifname})`
  const removal = rule.note === undefined ? "DEL" : "GC or DEL"
  return new Conflict(
    `host port ${formatHostPort(mapping)} is taken by ${whose}${where ?? ""}`,
    `remove that container; if it is gone already, ${removal} for it removes its rules`,
  )
}
