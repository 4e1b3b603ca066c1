import { type Address, sameAddress } from "../../ip/address.ts"
import type { Conversation } from "../../netlink/conversation.ts"
import { type RuleReading, readRule } from "../../netlink/netfilter/read-rule.ts"
import { type FoundRule, listTableRules } from "../../netlink/netfilter/rule.ts"
import type { Owner } from "../names.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"
import type { Layout } from "./layout.ts"
import { markOf } from "./marks.ts"

/** A rule of some pod, by whichever implementation. */
export interface PodRule extends FoundRule {
  /** Read when it is first asked for: of a thousand pods' rules most calls need their own alone. */
  readonly reading: RuleReading
}

/** The rules of all pods, or of one container's: those in the chains for them, without the shared ones. */
export function listPodRules(netfilter: Conversation, layout: Layout, comment = ""): PodRule[] {
  const chains = podChains(layout)
  const rules: PodRule[] = []
  for (const rule of listTableRules(netfilter, layout.table, comment)) {
    if (chains.includes(rule.chain)) rules.push(readLater(rule))
  }
  return rules
}

function readLater(rule: FoundRule): PodRule {
  let reading: RuleReading | undefined
  return {
    ...rule,
    get reading() {
      reading ??= readRule(rule.expressions())
      return reading
    },
  }
}

function podChains({ hostports, hostIpHostports, masquerading }: Layout): string[] {
  return [hostports.name, hostIpHostports.name, masquerading.name]
}

/**
 * Which rules are an attachment's. Those the Go plugin made do not say for which of its container's attachments: of them it is those
 * that are about one of `addresses`, or all where the addresses are not known.
 */
export function ownedBy(owner: Owner, addresses?: readonly Address[]): (rule: PodRule) => boolean {
  const mark = markOf(owner)
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
