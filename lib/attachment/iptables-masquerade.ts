import type { Attachment } from "../cni/attachment.ts"
import type { Removal } from "../net/foreign-jumps.ts"
import { isReached, planChainRemoval } from "../net/iptables.ts"
import type { Conversation } from "../netlink/conversation.ts"
import type { Chain } from "../netlink/netfilter/ruleset.ts"
import { sha512Hex } from "../sys/digest.ts"

/*
 * What the Go plugins' iptables backend leaves for a container, where iptables is iptables-nft: its rules are in nf_tables, and are found
 * by the names of chains alone. The rules of iptables-legacy are elsewhere and cannot be seen here.
 */

/** Per container and network; the interface has no part in it. */
function chainOf(family: "ip" | "ip6", { network, containerId }: Attachment): Chain {
  return { table: { family, name: "nat" }, name: `CNI-${sha512Hex(network + containerId).slice(0, 24)}` }
}

/** The container's chain goes, and so do the rules that lead there. */
export function planIptablesRemoval(nfnetlink: Conversation, family: "ip" | "ip6", attachment: Attachment): Removal {
  return planChainRemoval(nfnetlink, chainOf(family, attachment), "POSTROUTING")
}

/** Whether the Go plugin masquerades the container by iptables-nft. */
export function isMasqueradedByIptables(
  nfnetlink: Conversation,
  family: "ip" | "ip6",
  attachment: Attachment,
): boolean {
  return isReached(nfnetlink, chainOf(family, attachment), "POSTROUTING")
}
