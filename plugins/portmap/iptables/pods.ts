import type { Family } from "../../../lib/ip/address.ts"
import { type ListedRule, listIptablesRules } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { targetIn } from "../../../lib/netlink/netfilter/expression.ts"
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
  return listEntries(nfnetlink, family, note).filter(({ expressions }) => targetIn(expressions()) === chain)
}

/** Lists the rules of a container's chain. */
export function listChain(nfnetlink: Conversation, family: Family, chain: string): ListedRule[] {
  return listIptablesRules(nfnetlink, natChain(family, chain), "")
}

/** Returns the rules of a container's chain in the terms of those in nftables. `entry` leads there and names the container. */
export function toPodRules(entry: IptablesRule | undefined, rules: readonly ListedRule[]): PodRule[] {
  const containerId = containerIn(entry?.comment)
  return rules.map(({ chain, handle, note, read }) => ({
    chain: chain.name,
    handle,
    comment: containerId === undefined ? undefined : commentOf(containerId),
    note: note?.split(" ").slice(0, 2).join(" "),
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
