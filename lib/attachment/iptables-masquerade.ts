import type { Removal } from "../net/foreign-jumps.ts"
import { isReached, planChainRemoval } from "../net/iptables.ts"
import type { Conversation } from "../netlink/conversation.ts"
import type { Chain } from "../netlink/netfilter/ruleset.ts"
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

/** The container's chain goes, and so do the rules that lead there. */
export function planIptablesRemoval(netfilter: Conversation, family: "ip" | "ip6", owner: Owner): Removal {
  return planChainRemoval(netfilter, chainOf(family, owner), "POSTROUTING")
}

/** Whether the Go plugin masquerades the container by iptables-nft. */
export function isMasqueradedByIptables(netfilter: Conversation, family: "ip" | "ip6", owner: Owner): boolean {
  return isReached(netfilter, chainOf(family, owner), "POSTROUTING")
}
