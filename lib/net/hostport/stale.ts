import { formatAddress } from "../../ip/address.ts"
import { readLiveAddresses } from "../live-addresses.ts"
import { readLivingOwners } from "../living.ts"
import type { Owner } from "../names.ts"
import type { NetworkStack } from "../stack.ts"
import { isNoteOf, markOf, type RuleMark } from "./marks.ts"
import type { PodRule } from "./rule-list.ts"

/**
 * Tells which of the rules are those of the network's attachments that are not `valid`, or if that is not known of those that are certainly
 * gone.
 */
export function staleAmong(
  rules: readonly PodRule[],
  host: NetworkStack,
  network: string,
  valid: readonly Owner[] | undefined,
): (rule: PodRule) => boolean {
  const living = valid ?? readLivingOwners(host) // after the rules, of which each is younger than its pod's interface
  if (!living) return () => false
  const marks = new Set(living.map((owner) => keyOf(markOf(owner))))
  const isStale = ({ comment = "", note }: PodRule) =>
    note !== undefined && isNoteOf(network, note) && !marks.has(keyOf({ comment, note }))
  return valid || !rules.some(isStale) ? isStale : withoutAddress(rules.filter(isStale))
}

/** Those of the rules whose pod has no address any more: not every pod that ports lead to hangs on a veth. */
function withoutAddress(rules: readonly PodRule[]): (rule: PodRule) => boolean {
  const addresses = readLiveAddresses()
  if (!addresses) return () => false
  const living = new Set<string>()
  for (const { comment = "", note = "", reading } of rules) {
    if (reading.to && addresses.has(formatAddress(reading.to))) living.add(keyOf({ comment, note }))
  }
  const stale = new Set(rules.filter(({ comment = "", note = "" }) => !living.has(keyOf({ comment, note }))))
  return (rule) => stale.has(rule)
}

function keyOf({ comment, note }: RuleMark): string {
  return `${comment} ${note}`
}
