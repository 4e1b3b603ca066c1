import type { Address, Family } from "../../../lib/ip/address.ts"
import { hostPrefix } from "../../../lib/ip/prefix.ts"
import type { PlacedRule } from "../../../lib/net/iptables.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import { iptablesChain } from "../../../lib/netlink/netfilter/xtables/tables.ts"
import { CHAIN } from "../chains.ts"
import type { BridgePolicy } from "../demand.ts"

/*
 * The rules of the Go plugin's iptables backend, in table filter, so that either implementation finds, checks and removes what the other
 * made, and `iptables` shows it.
 */

/** A rule that a chain has once, whichever pods there are. */
export interface Shared {
  readonly chain: (typeof CHAIN)[keyof typeof CHAIN]
  readonly rule: IptablesRule
  /** Set if it comes behind all others. */
  readonly last?: true
}

/** Describes a chain of the table for ensureChain(). */
export function filterChain(family: Family, name: string): Chain {
  return iptablesChain(family, "filter", name)
}

/** Returns the rule with its chain in that family. */
export function placed(family: Family, { chain, rule, last }: Shared): PlacedRule {
  return { chain: filterChain(family, chain), rule, first: !last }
}

const COMMENT = "CNI firewall plugin rules"
const OF_POLICIES = `${COMMENT} (ingressPolicy: same-bridge|isolated)`

/** Leads from FORWARD to the rules of the pods. */
export const toPods: Shared = { chain: CHAIN.forward, rule: { comment: COMMENT, action: { jump: CHAIN.pods } } }

/** Leads from FORWARD to the rules of the bridges. It has to come before toPods, which accepts. */
export const toBridges: Shared = {
  chain: CHAIN.forward,
  rule: { comment: OF_POLICIES, action: { jump: CHAIN.fromBridge } },
}

/** Leads to the administrator's rules, before those of all pods. */
function toAdmin(chain: string): Shared {
  return { chain: CHAIN.pods, rule: { comment: "CNI firewall plugin admin overrides", action: { jump: chain } } }
}

/** Lets answers in to the address, and out what comes from it. */
export function podRules(address: Address): readonly IptablesRule[] {
  const prefix = hostPrefix(address)
  return [
    { destination: prefix, established: true, action: { verdict: "accept" } },
    { source: prefix, action: { verdict: "accept" } },
  ]
}

/** Drops what goes from the bridge to another bridge that has a policy, and if it is isolated also what stays on it. */
function bridgeRules({ name: policy, bridge }: BridgePolicy): readonly Shared[] {
  const leaves = { fromInterface: bridge, notToInterface: bridge, comment: `${COMMENT} (ingressPolicy: ${policy})` }
  const stays = { fromInterface: bridge, toInterface: bridge, comment: `${COMMENT} (ingressPolicy: isolated)` }
  const arrives = { toInterface: bridge, comment: OF_POLICIES }
  const back: IptablesRule = { comment: OF_POLICIES, action: { verdict: "return" } }
  return [
    { chain: CHAIN.fromBridge, rule: { ...leaves, action: { jump: CHAIN.toBridge } } },
    ...(policy === "isolated"
      ? [{ chain: CHAIN.fromBridge, rule: { ...stays, action: { verdict: "drop" } } } as const]
      : []),
    { chain: CHAIN.fromBridge, rule: back, last: true },
    { chain: CHAIN.toBridge, rule: { ...arrives, action: { verdict: "drop" } } },
    { chain: CHAIN.toBridge, rule: back, last: true },
  ]
}

/** Returns the rules that other pods need too, the way from FORWARD aside. */
export function sharedRules(adminChain: string, policy: BridgePolicy | undefined): readonly Shared[] {
  return [toAdmin(adminChain), ...(policy ? bridgeRules(policy) : [])]
}
