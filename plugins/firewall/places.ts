import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Family } from "../../lib/ip/address.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { hasRule } from "../../lib/netlink/netfilter/rule.ts"
import { readChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { CHAIN } from "./chains.ts"
import type { FirewallConfig } from "./config.ts"
import type { Demand, Wanted } from "./demand.ts"
import { filterChain } from "./iptables/rules.ts"
import type { NftablesWanted } from "./nftables/plan.ts"

/** The rules that are wanted of a pod, by the table that they belong into. */
export interface Placed {
  readonly iptables: readonly Demand[]
  /** Undefined if the table of our own is left alone. */
  readonly nftables: NftablesWanted | undefined
}

/**
 * Places what is wanted: in iptables' table filter if it is named, or nothing is and its FORWARD chain may drop packets, since only a rule
 * there prevents that; else in a table of our own. That has the policies of bridges unless iptables is named: a drop counts in any table,
 * and so one family's or network's rules may be elsewhere than those of another.
 */
export function place(
  nfnetlink: Conversation,
  { backend }: Pick<FirewallConfig, "backend">,
  { demands, adminChain, policy }: Wanted,
  attachment: Attachment,
): Placed {
  if (backend === "iptables") return { iptables: demands, nftables: undefined }
  const standsInTheWay = ({ family }: Demand) => backend !== "nftables" && forwardMayDrop(nfnetlink, family)
  const iptables = demands.filter(standsInTheWay)
  const addresses = demands.filter((demand) => !iptables.includes(demand)).flatMap((demand) => demand.addresses)
  return { iptables, nftables: { attachment, addresses, adminChain, policy } }
}

/** Returns true if the family's chain FORWARD of iptables has rules, or drops what has none. */
export function forwardMayDrop(nfnetlink: Conversation, family: Family): boolean {
  const chain = filterChain(family, CHAIN.forward)
  const policy = readForwardPolicy(nfnetlink, family)
  return policy === "drop" || (policy === "accept" && hasRule(nfnetlink, chain, () => true))
}

/** Returns what becomes of packets that no rule of the family's chain FORWARD of iptables knows; undefined if there is no such chain. */
export function readForwardPolicy(nfnetlink: Conversation, family: Family): "accept" | "drop" | undefined {
  return readChain(nfnetlink, filterChain(family, CHAIN.forward))?.base?.policy
}
