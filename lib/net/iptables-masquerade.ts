import type { Conversation, Request } from "../netlink/conversation.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import { deleteRule, flushChain, listRules } from "../netlink/netfilter/rule.ts"
import { type Chain, deleteChain, readChain } from "../netlink/netfilter/ruleset.ts"
import { sha512Hex } from "../sys/digest.ts"
import type { Owner } from "./names.ts"

/*
 * What the Go plugins' iptables backend leaves for a container, where iptables is iptables-nft: its rules are in nf_tables, and are found
 * by the names of chains alone. The rules of iptables-legacy are elsewhere and cannot be seen here.
 */

/** Per container and network; the interface has no part in it. */
function chainOf(family: "ip" | "ip6", { network, containerId }: Owner): Chain {
  return { table: { family, name: "nat" }, name: `CNI-${sha512Hex(network + containerId).slice(0, 24)}` }
}

/** Changes for transact(): the container's chain is gone, and so are the rules that lead there. */
export function planIptablesRemoval(netfilter: Conversation, family: "ip" | "ip6", owner: Owner): Request[] {
  const chain = chainOf(family, owner)
  if (!readChain(netfilter, chain)) return []
  const postrouting = { table: chain.table, name: "POSTROUTING" }
  const jumps = listRules(netfilter, postrouting).filter((rule) => targetIn(rule.expressions()) === chain.name)
  return [...jumps.map(({ handle }) => deleteRule(postrouting, handle)), flushChain(chain), deleteChain(chain)]
}

/** Whether the Go plugin masquerades the container by iptables-nft. */
export function isMasqueradedByIptables(netfilter: Conversation, family: "ip" | "ip6", owner: Owner): boolean {
  const chain = chainOf(family, owner)
  if (!readChain(netfilter, chain)) return false
  const postrouting = { table: chain.table, name: "POSTROUTING" }
  return listRules(netfilter, postrouting).some((rule) => targetIn(rule.expressions()) === chain.name)
}
