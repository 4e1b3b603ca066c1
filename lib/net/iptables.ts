import type { Conversation, Request } from "../netlink/conversation.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import { deleteRule, type FoundRule, flushChain, listRules } from "../netlink/netfilter/rule.ts"
import { type Chain, deleteChain, readChain } from "../netlink/netfilter/ruleset.ts"

/** Changes for transact(): a chain that iptables-nft made is gone, and so are the rules of chain `from` of its table that lead there. */
export function planChainRemoval(netfilter: Conversation, chain: Chain, from: string): Request[] {
  if (!readChain(netfilter, chain)) return []
  const caller = { table: chain.table, name: from }
  const jumps = jumpsTo(netfilter, chain, from).map(({ handle }) => deleteRule(caller, handle))
  return [...jumps, flushChain(chain), deleteChain(chain)]
}

/** Whether the chain is there and a rule of chain `from` leads to it. */
export function isReached(netfilter: Conversation, chain: Chain, from: string): boolean {
  return readChain(netfilter, chain) !== undefined && jumpsTo(netfilter, chain, from).length > 0
}

function jumpsTo(netfilter: Conversation, { table, name }: Chain, from: string): FoundRule[] {
  return listRules(netfilter, { table, name: from }).filter((rule) => targetIn(rule.expressions()) === name)
}
