import type { Attachment } from "../cni/attachment.ts"
import type { Removal } from "../net/foreign-jumps.ts"
import { isReached, planChainRemoval } from "../net/iptables.ts"
import type { Conversation } from "../netlink/conversation.ts"
import type { Chain } from "../netlink/netfilter/ruleset.ts"
import { sha512Hex } from "../sys/digest.ts"

/*
 * The rules that the Go plugins' iptables backend makes for a container by iptables-nft: they are in nf_tables, and found by the names of
 * chains alone. Those of iptables-legacy are elsewhere and cannot be seen here.
 */

/** Returns the chain of a container in a network, which all its interfaces share. */
function chainOf(family: "ip" | "ip6", { network, containerId }: Attachment): Chain {
  return { table: { family, name: "nat" }, name: `CNI-${sha512Hex(network + containerId).slice(0, 24)}` }
}

/** Plans to remove the container's chain, and the rules that lead there. */
export function planIptablesMasqueradeRemoval(
  nfnetlink: Conversation,
  family: "ip" | "ip6",
  attachment: Attachment,
): Removal {
  return planChainRemoval(nfnetlink, chainOf(family, attachment), "POSTROUTING")
}

/** Says if the Go plugin masquerades the container by iptables-nft. */
export function isMasqueradedByIptables(
  nfnetlink: Conversation,
  family: "ip" | "ip6",
  attachment: Attachment,
): boolean {
  return isReached(nfnetlink, chainOf(family, attachment), "POSTROUTING")
}
