import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Removal } from "../../../lib/net/foreign-jumps.ts"
import { isReached, planChainRemoval } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import type { Layout } from "./layout.ts"

/*
 * What the Go plugin's iptables backend leaves for a container, where iptables is iptables-nft. The rules of iptables-legacy are elsewhere
 * and cannot be seen here.
 */

/** Where every such chain is entered. */
const ENTRY = "CNI-HOSTPORT-DNAT"

/** Per container and network; the interface has no part in it. */
function chainOf({ table }: Layout, { network, containerId }: Attachment): Chain {
  const name = `CNI-DN-${sha512Hex(network + containerId).slice(0, 21)}`
  return { table: { family: table.family, name: "nat" }, name }
}

/** The container's chain goes, and so do the rules that lead there. */
export function planIptablesRemoval(nfnetlink: Conversation, layout: Layout, attachment: Attachment): Removal {
  return planChainRemoval(nfnetlink, chainOf(layout, attachment), ENTRY)
}

/** Whether the Go plugin leads ports to the container by iptables-nft. */
export function isMappedByIptables(nfnetlink: Conversation, layout: Layout, attachment: Attachment): boolean {
  return isReached(nfnetlink, chainOf(layout, attachment), ENTRY)
}
