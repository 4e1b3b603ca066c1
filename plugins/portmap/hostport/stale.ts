import { readLivingAttachments } from "../../../lib/attachment/living.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { formatAddress } from "../../../lib/ip/address.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { readLiveAddresses } from "./live-addresses.ts"
import { isNoteOf, markOf, type RuleMark } from "./marks.ts"
import type { PodRule } from "./rule-list.ts"

/** Tells which rules are those of the network's attachments that are not among `attachments`. */
export function isOutside(
  network: string,
  attachments: readonly Attachment[],
): (rule: Pick<FoundRule, "comment" | "note">) => boolean {
  const marks = new Set(attachments.map((attachment) => keyOf(markOf(attachment))))
  return ({ comment = "", note }) =>
    note !== undefined && isNoteOf(network, note) && !marks.has(keyOf({ comment, note }))
}

/** Returns those of all rules that are of the network's attachments that are certainly gone. */
export function findGone(rules: readonly PodRule[], host: NetworkStack, network: string): PodRule[] {
  const living = readLivingAttachments(host) // after the rules, of which each is younger than its pod's interface
  const unknown = living ? rules.filter(isOutside(network, living)) : []
  return unknown.length > 0 ? withoutAddress(unknown) : []
}

/** Those of the rules whose pod has no address any more: not every pod that ports lead to hangs on a veth. */
function withoutAddress(rules: readonly PodRule[]): PodRule[] {
  const addresses = readLiveAddresses()
  if (!addresses) return []
  const living = new Set<string>()
  for (const { comment = "", note = "", reading } of rules) {
    if (reading.to && addresses.has(formatAddress(reading.to))) living.add(keyOf({ comment, note }))
  }
  return rules.filter(({ comment = "", note = "" }) => !living.has(keyOf({ comment, note })))
}

function keyOf({ comment, note }: RuleMark): string {
  return `${comment} ${note}`
}
