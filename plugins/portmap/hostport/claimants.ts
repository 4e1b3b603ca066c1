import { attachmentAlias, hostVethName, isHostVethName } from "../../../lib/attachment/names.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { formatAddress } from "../../../lib/ip/address.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import { type Link, listLinks, readLink } from "../../../lib/netlink/route/link.ts"
import { formatHostPort, groupByPort, type PortMapping, portKey, protocols } from "../port-mapping.ts"
import { readLiveAddresses } from "./live-addresses.ts"
import { markOf, ownerIn } from "./marks.ts"
import type { PodPorts } from "./pod-rules.ts"
import { claims, type PodRule } from "./rule-list.ts"

/**
 * The rules of those pods that have one of the ports and are gone. Throws Conflict where one is not, as far as that can be known:
 * packets would go on being led to it. A container's other attachments may have the port too: it gets there by any of them.
 */
export function findGoneClaimants(
  host: NetworkStack,
  attachment: Attachment,
  pod: PodPorts,
  others: readonly PodRule[],
): Set<PodRule> {
  const { comment } = markOf(attachment)
  const claimants = groupByPort(
    others.filter((rule) => rule.comment !== comment),
    ({ reading }) => portKey(reading.protocol ?? 0, reading.destinationPort ?? 0),
  )
  const gone = new Set<PodRule>()
  for (const mapping of pod.mappings) {
    const those = claimants.get(portKey(protocols[mapping.protocol], mapping.hostPort)) ?? []
    const taken = those.find((rule) => claims(rule, mapping) && !gone.has(rule))
    if (!taken) continue
    if (!isGone(host, attachment, pod, taken)) throw takenBy(taken, mapping)
    for (const rule of others) if (rule.comment === taken.comment && rule.note === taken.note) gone.add(rule)
  }
  return gone
}

/**
 * A pod is gone if its veth is, where this pod of the same network shows that there is one by the computed name for each, and none that may
 * be the other's; and if no namespace but this pod's has its address. That this pod has it proves nothing: users may request any.
 */
function isGone(host: NetworkStack, attachment: Attachment, { netns }: PodPorts, rule: PodRule): boolean {
  const claimant = ownerIn(rule)
  const { to } = rule.reading
  if (!to || claimant?.network !== attachment.network) return false
  const veth = readLink(host.rtnetlink, hostVethName(attachment))
  if (!veth || mayBeAttached(host, claimant, veth)) return false
  return readLiveAddresses(netns)?.has(formatAddress(to)) === false
}

/**
 * Whether a veth has the pod's name or says that it is the pod's, as one does that was renamed; or says nothing and hangs where `beside`
 * does, as the Go plugin makes them.
 */
function mayBeAttached({ rtnetlink }: NetworkStack, pod: Attachment, beside: Link): boolean {
  const [name, alias] = [hostVethName(pod), attachmentAlias(pod)]
  const { links, partial } = listLinks(rtnetlink)
  const mayBe = (link: Link) =>
    link.name === name ||
    link.alias === alias ||
    (link.alias === "" && link.master === beside.master && !isHostVethName(link.name))
  return partial || links.some((link) => link.kind === "veth" && mayBe(link))
}

function takenBy(rule: PodRule, mapping: PortMapping): Conflict {
  const { network, containerId, ifname } = ownerIn(rule) ?? {}
  const whose = rule.comment === undefined ? "a rule without a comment" : `container ${containerId ?? rule.comment}`
  const where = network && ` (network ${network}, interface ${ifname})`
  const removal = rule.note === undefined ? "DEL" : "GC or DEL"
  return new Conflict(
    `host port ${formatHostPort(mapping)} is taken by ${whose}${where ?? ""}`,
    `remove that container; if it is gone already, ${removal} for it takes its rules out of table cni_hostport`,
  )
}
