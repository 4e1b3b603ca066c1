import type { Family } from "../../../lib/ip/address.ts"
import { type ListedRule, listIptablesRules, readIptablesRules } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { PodRule } from "../hostport/rule-list.ts"
import { commentOf } from "../hostport/rule-tag.ts"
import { CHAIN, natChain } from "./chains.ts"
import { containerIn } from "./pod-rules.ts"

/** Lists the rules that lead to containers' chains: all, or those without a note and those whose note begins with `note`. */
export function listEntries(nfnetlink: Conversation, family: Family, note = ""): ListedRule[] {
  return listIptablesRules(nfnetlink, natChain(family, CHAIN.dnat), note)
}

/** Lists those of one container's attachment: with its note, or without one. */
export function listOwnEntries(nfnetlink: Conversation, family: Family, chain: string, note: string): ListedRule[] {
  return listEntries(nfnetlink, family, note).filter(({ target }) => target() === chain)
}

/** A rule of a container's chain, which may be one of thousands. */
export interface ChainRule extends Pick<ListedRule, "chain" | "handle" | "note"> {
  /** The rule's text, by which rules are compared; undefined if it says what no rule here does. */
  readonly text: string | undefined
}

/** Lists the rules of a container's chain that are the attachment's with this note, or do not say whose they are. */
export function listOwnRules(nfnetlink: Conversation, chain: Chain, note: string): ChainRule[] {
  return readIptablesRules(nfnetlink, chain, (rule) => {
    const isOwn = rule.note === undefined || rule.note === note
    return isOwn ? { chain, handle: rule.handle, note: rule.note && note, text: rule.text() } : undefined
  })
}

/** Lists the rules of a container's chain in the terms of those in nftables. `entry` leads there and names the container. */
export function listPodRulesIn(nfnetlink: Conversation, chain: Chain, entry: ListedRule | undefined): PodRule[] {
  const containerId = containerIn(entry?.read()?.comment)
  const comment = containerId === undefined ? undefined : commentOf(containerId)
  return readIptablesRules(nfnetlink, chain, ({ handle, note, read }) => ({
    chain: chain.name,
    handle,
    comment,
    note,
    reading: readingOf(read()),
  }))
}

function readingOf(rule: IptablesRule | undefined): PodRule["reading"] {
  if (!rule || !("dnat" in rule.action)) return {}
  const { protocol, destination, destinationPort, action } = rule
  return {
    ...(protocol !== undefined && { protocol }),
    ...(destination && { destination: destination.address }),
    ...(destinationPort !== undefined && { destinationPort }),
    to: action.dnat.address,
    toPort: action.dnat.port,
  }
}
