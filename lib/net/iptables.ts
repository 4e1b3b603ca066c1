import type { Conversation } from "../netlink/conversation.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import { deleteRule, type FoundRule, flushChain, listRules } from "../netlink/netfilter/rule.ts"
import { type Chain, readChain } from "../netlink/netfilter/ruleset.ts"
import type { Removal } from "./foreign-jumps.ts"

/** Plans to remove a chain that iptables-nft made, and the rules of chain `from` of its table that lead there. */
export function planChainRemoval(nfnetlink: Conversation, chain: Chain, from: string): Removal {
  if (!readChain(nfnetlink, chain)) return { changes: [], chains: [] }
  const caller = { table: chain.table, name: from }
  const jumps = jumpsTo(nfnetlink, chain, from).map(({ handle }) => deleteRule(caller, handle))
  return { changes: [...jumps, flushChain(chain)], chains: [chain] }
}

/** Says if the chain is there and a rule of chain `from` leads to it. */
export function isReached(nfnetlink: Conversation, chain: Chain, from: string): boolean {
  return readChain(nfnetlink, chain) !== undefined && jumpsTo(nfnetlink, chain, from).length > 0
}

function jumpsTo(nfnetlink: Conversation, { table, name }: Chain, from: string): FoundRule[] {
  return listRules(nfnetlink, { table, name: from }).filter((rule) => targetIn(rule.expressions()) === name)
}
