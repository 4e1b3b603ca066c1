import type { Attachment } from "../../../lib/cni/attachment.ts"
import { type Address, sameAddress } from "../../../lib/ip/address.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { type RuleReading, readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { type FoundRule, readTableRules } from "../../../lib/netlink/netfilter/rule.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"
import type { Layout } from "./layout.ts"
import { tagOf } from "./rule-tag.ts"

/** A rule of some pod, whichever plugin made it. A pod may have tens of thousands, so the expressions are not kept. */
export interface PodRule extends Pick<FoundRule, "handle" | "chain" | "comment" | "note"> {
  readonly reading: RuleReading
}

/** Lists the rules of all containers, or of those whose ids begin with `prefix`. Shared rules are not among them. */
export function listPodRules(nfnetlink: Conversation, layout: Layout, prefix = ""): PodRule[] {
  let before: PodRule | undefined
  return readPodRules(
    nfnetlink,
    layout,
    (rule) => {
      before = toPodRule(rule, before)
      return before
    },
    prefix,
  )
}

/** Returns the values that `read` returns for the rules that listPodRules() lists, without undefined. */
export function readPodRules<Value>(
  nfnetlink: Conversation,
  layout: Layout,
  read: (rule: FoundRule, kept: number) => Value | undefined,
  prefix = "",
): Value[] {
  const chains = podChains(layout)
  return readTableRules(
    nfnetlink,
    layout.table,
    (rule, kept) => (chains.includes(rule.chain) ? read(rule, kept) : undefined),
    prefix,
  )
}

/**
 * Returns the rule without its expressions. Strings and the address are those of `before` if they are equal, so that they are kept once.
 */
export function toPodRule(rule: FoundRule, before?: PodRule): PodRule {
  const { handle, chain, comment, note } = rule
  const read = readRule(rule.expressions())
  const to = before?.reading.to
  const reading = to && read.to && sameAddress(to, read.to) ? { ...read, to } : read
  if (before?.comment !== comment || before?.note !== note || before?.chain !== chain) {
    return { handle, chain, comment, note, reading }
  }
  return { handle, chain: before.chain, comment: before.comment, note: before.note, reading }
}

function podChains({ hostports, hostIpHostports, masquerading }: Layout): string[] {
  return [hostports.name, hostIpHostports.name, masquerading.name]
}

/**
 * Returns a test for the attachment's rules. The Go plugin's name only the container: of them the attachment's are those about one of
 * `addresses`, or all if the addresses are not known.
 */
export function belongsTo(attachment: Attachment, addresses?: readonly Address[]): (rule: PodRule) => boolean {
  const tag = tagOf(attachment)
  return (rule) => {
    if (rule.comment !== tag.comment) return false
    if (rule.note !== undefined) return rule.note === tag.note
    const about = rule.reading.to ?? rule.reading.destination
    return !addresses || about === undefined || addresses.some((address) => sameAddress(address, about))
  }
}

/** Returns true if the rule could take packets that the mapping is for. */
export function takes({ reading }: PodRule, mapping: PortMapping): boolean {
  const { protocol, destinationPort, destination, to } = reading
  if (!to || protocol !== protocols[mapping.protocol] || destinationPort !== mapping.hostPort) return false
  const only = onlyAddress(mapping)
  return !only || !destination || sameAddress(only, destination)
}
