import type { Family } from "../../lib/ip/address.ts"
import type { Conversation, Request } from "../../lib/netlink/conversation.ts"
import { deleteRule, type FoundRule, listRulesByNote } from "../../lib/netlink/netfilter/rule.ts"
import { type Chain, formatTable, type Table } from "../../lib/netlink/netfilter/ruleset.ts"
import { decodeIptablesRule } from "../../lib/netlink/netfilter/xtables/decode.ts"
import { formatIptablesRule, type IptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { builtInChain } from "../../lib/netlink/netfilter/xtables/tables.ts"
import { CHAIN } from "./rules.ts"

/** A rule of table filter. */
export interface FilterRule {
  readonly family: Family
  readonly chain: string
  readonly handle: bigint
  /** The key of the attachment that it is of; undefined for rules that others made, and for shared ones. */
  readonly note: string | undefined
  /** Decodes it; undefined if it says what rules of this plugin do not. */
  readonly read: () => IptablesRule | undefined
}

/** Returns table filter as iptables-nft has it. */
export function filterTable(family: Family): Table {
  return { family: family === 4 ? "ip" : "ip6", name: "filter" }
}

/** Describes a chain of the table for ensureChain(). */
export function filterChain(family: Family, name: string): Chain {
  return name === CHAIN.forward ? builtInChain(family === 4 ? "ip" : "ip6", name) : { table: filterTable(family), name }
}

/** Returns the chain's rules, in order, that are of no attachment or of one whose key begins with `key`. Throws as listRules(). */
export function listFilterRules(nfnetlink: Conversation, family: Family, chain: string, key: string): FilterRule[] {
  const found = listRulesByNote(nfnetlink, filterChain(family, chain), key)
  return found.map((rule: FoundRule) => ({
    family,
    chain,
    handle: rule.handle,
    note: rule.note,
    read: () => decodeIptablesRule(rule, family),
  }))
}

/** Change for transact(): the rule is gone. */
export function deleteFilterRule({ family, chain, handle }: FilterRule): Request {
  return deleteRule(filterChain(family, chain), handle)
}

/** Returns the rule's text, by which rules are compared; undefined as read(). */
export function textOf(found: FilterRule): string | undefined {
  const rule = found.read()
  return rule && formatIptablesRule(rule)
}

/** Says for messages: `-A CNI-FORWARD -s 10.1.2.3/32 -j ACCEPT in table ip filter`. */
export function describeRule(family: Family, chain: string, text: string): string {
  return `-A ${chain} ${text} in ${formatTable(filterTable(family))}`
}
