import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Removal } from "../../../lib/net/foreign-jumps.ts"
import { isReached, planChainRemoval } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import type { Layout } from "./layout.ts"

/*
 * The Go plugin's iptables backend makes one chain for each container and network. These are found if iptables is iptables-nft: the rules
 * of iptables-legacy are not in nftables.
 */

/** The chain that jumps to every container's chain. */
const ENTRY = "CNI-HOSTPORT-DNAT"

function chainOf({ table }: Layout, { network, containerId }: Attachment): Chain {
  const name = `CNI-DN-${sha512Hex(network + containerId).slice(0, 21)}`
  return { table: { family: table.family, name: "nat" }, name }
}

/** Plans to remove the container's chain and the jumps to it. */
export function planIptablesHostportRemoval(nfnetlink: Conversation, layout: Layout, attachment: Attachment): Removal {
  return planChainRemoval(nfnetlink, chainOf(layout, attachment), ENTRY)
}

/** Returns true if the Go plugin leads host ports to the container by iptables-nft. */
export function isMappedByIptables(nfnetlink: Conversation, layout: Layout, attachment: Attachment): boolean {
  return isReached(nfnetlink, chainOf(layout, attachment), ENTRY)
}
