import type { Attachment } from "../../../lib/cni/attachment.ts"
import { type Address, sameAddress } from "../../../lib/ip/address.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { type RuleReading, readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { type FoundRule, readTableRules } from "../../../lib/netlink/netfilter/rule.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"
import type { Layout } from "./layout.ts"
import { markOf } from "./marks.ts"

/** What matters of a rule of some pod, by whichever implementation. A pod may have tens of thousands, so the steps are not kept. */
export interface PodRule extends Pick<FoundRule, "handle" | "chain" | "comment" | "note"> {
  readonly reading: RuleReading
}

/** The rules of all pods, or of those whose ids begin with `prefix`: those in the chains for them, without the shared ones. */
export function listPodRules(nfnetlink: Conversation, layout: Layout, prefix = ""): PodRule[] {
  let before: PodRule | undefined
  return readPodRules(
    nfnetlink,
    layout,
    (rule) => {
      before = briefly(rule, before)
      return before
    },
    prefix,
  )
}

/** Of the rules that listPodRules() lists, what `read` makes of each; those that it makes nothing of are left out. */
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

/** The rule, with the texts and the address of the one before where they are the same, as they mostly are: so they are kept once. */
export function briefly({ handle, chain, comment, note, expressions }: FoundRule, before?: PodRule): PodRule {
  const read = readRule(expressions())
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
 * Which rules are an attachment's. Those the Go plugin made do not say for which of its container's attachments: of them it is those
 * that are about one of `addresses`, or all where the addresses are not known.
 */
export function ownedBy(attachment: Attachment, addresses?: readonly Address[]): (rule: PodRule) => boolean {
  const mark = markOf(attachment)
  return (rule) => {
    if (rule.comment !== mark.comment) return false
    if (rule.note !== undefined) return rule.note === mark.note
    const about = rule.reading.to ?? rule.reading.destination
    return !addresses || about === undefined || addresses.some((address) => sameAddress(address, about))
  }
}

/** Whether a packet that the mapping is for could meet this rule first. */
export function claims({ reading }: PodRule, mapping: PortMapping): boolean {
  const { protocol, destinationPort, destination, to } = reading
  if (!to || protocol !== protocols[mapping.protocol] || destinationPort !== mapping.hostPort) return false
  const only = onlyAddress(mapping)
  return !only || !destination || sameAddress(only, destination)
}
