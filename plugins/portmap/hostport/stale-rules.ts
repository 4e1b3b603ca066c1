import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { readLivingAttachments } from "../../../lib/attachment/living.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { formatAddress } from "../../../lib/ip/address.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { anchorKey } from "./pod-anchor.ts"
import type { PodRule } from "./rule-list.ts"
import { isNoteIn, type RuleTag, tagOf } from "./rule-tag.ts"

/** Returns a test for rules that name the network and none of these attachments of it. */
export function belongsToNone(
  network: string,
  attachments: readonly Attachment[],
): (rule: Pick<FoundRule, "comment" | "note">) => boolean {
  const tags = new Set(attachments.map((attachment) => keyOf(tagOf(attachment))))
  return ({ comment = "", note }) =>
    note !== undefined && isNoteIn(network, note) && !tags.has(keyOf({ comment, note }))
}

/** Returns a test for the names of anchors in the network that are of none of these attachments of it. */
export function isAnchorOfNone(network: string, attachments: readonly Attachment[]): (key: string) => boolean {
  const keys = new Set(attachments.map((attachment) => anchorKey(tagOf(attachment))))
  const [ofNetwork = ""] = anchorKey(tagOf({ network, containerId: "", ifname: "" })).split("-")
  return (key) => key.startsWith(`${ofNetwork}-`) && !keys.has(key)
}

/** Returns those of the rules whose attachments are of this network and certainly gone. */
export function findStale(rules: readonly PodRule[], host: NetworkStack, network: string): PodRule[] {
  // Read after the rules: a pod's interface is made before its rules, so none is missed.
  const living = readLivingAttachments(host)
  const unknown = living ? rules.filter(belongsToNone(network, living)) : []
  return unknown.length > 0 ? withoutAddress(unknown) : []
}

/** Returns the rules whose pod's addresses exist nowhere: a pod with host ports need not have a veth. */
function withoutAddress(rules: readonly PodRule[]): PodRule[] {
  const addresses = readLiveAddresses()
  if (!addresses) return []
  const living = new Set<string>()
  for (const { comment = "", note = "", reading } of rules) {
    if (reading.to && addresses.has(formatAddress(reading.to))) living.add(keyOf({ comment, note }))
  }
  return rules.filter(({ comment = "", note = "" }) => !living.has(keyOf({ comment, note })))
}

function keyOf({ comment, note }: RuleTag): string {
  return `${comment} ${note}`
}
