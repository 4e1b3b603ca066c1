import { networkRuleKey, plain, ruleComment } from "../../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { type Address, addressFromBytes } from "../../../lib/ip/address.ts"
import { hostPrefix } from "../../../lib/ip/prefix.ts"
import type { FoundExpression, Step } from "../../../lib/netlink/netfilter/expression.ts"
import {
  destination,
  fromInterface,
  ofConnection,
  ofFamily,
  source,
  toInterface,
  transfer,
  verdict,
} from "../../../lib/netlink/netfilter/phrase.ts"
import type { Chain, Table } from "../../../lib/netlink/netfilter/ruleset.ts"
import { CHAIN } from "../chains.ts"
import type { BridgePolicy } from "../demand.ts"

/*
 * A table of our own for both families, with chains of the same names and rules of the same sense as those of iptables. Its FORWARD accepts
 * what no rule knows, unless an administrator gives it another policy.
 */

const table: Table = { family: "inet", name: "cni_firewall", comment: "Rules of pods: the CNI plugin firewall" }
const bridgeTable: Table = { ...table, family: "bridge" }

const forwardBase = { type: "filter", hook: "forward", priority: 0 } as const

export const forward: Chain = { table, name: CHAIN.forward, base: forwardBase }
export const pods: Chain = { table, name: CHAIN.pods }
export const fromBridge: Chain = { table, name: CHAIN.fromBridge }
export const toBridge: Chain = { table, name: CHAIN.toBridge }
/** Sees what one port of a bridge sends to another, which no other chain does unless br_netfilter is loaded. */
export const bridgePorts: Chain = { table: bridgeTable, name: CHAIN.forward, base: forwardBase }

/** Returns the administrator's chain. */
export function admin(name: string): Chain {
  return { table, name }
}

/** Returns the jumps that FORWARD begins with, in order. */
export function ways(adminChain: string): Step[][] {
  return [CHAIN.fromBridge, adminChain, CHAIN.pods].map((chain) => [transfer("jump", chain)])
}

/** A chain, and what a rule in it says. */
export interface NftRule {
  readonly chain: Chain
  readonly expressions: readonly Step[]
}

/** Lets answers in to the addresses, and out what comes from them. */
export function podRules(addresses: readonly Address[]): NftRule[] {
  return addresses.flatMap((address) => {
    const [family, prefix] = [ofFamily(address.family), hostPrefix(address)]
    return [
      { chain: pods, expressions: [...family, ...destination(prefix), ...ofConnection(), verdict("accept")] },
      { chain: pods, expressions: [...family, ...source(prefix), verdict("accept")] },
    ]
  })
}

/** Drops what goes from the bridge to another bridge that has a policy. */
export function bridgeRules(policy: BridgePolicy | undefined): NftRule[] {
  if (!policy) return []
  const { bridge } = policy
  const leaves = [...fromInterface(bridge), ...toInterface(bridge, { not: true }), transfer("jump", CHAIN.toBridge)]
  return [
    { chain: fromBridge, expressions: leaves },
    { chain: toBridge, expressions: [...toInterface(bridge), verdict("drop")] },
  ]
}

/** Drops what goes from other ports of the bridge to the pod's, if it is isolated. */
export function portRules(policy: BridgePolicy | undefined): NftRule[] {
  if (policy?.name !== "isolated") return []
  return policy.ports.map((port) => ({ chain: bridgePorts, expressions: [...toInterface(port), verdict("drop")] }))
}

/** Returns the comment of the pod's own rules. */
export const podComment = ruleComment

/** Returns the beginning of the comment of the rules that a network's bridge has, which is no attachment's. */
export function bridgeKey(network: string): string {
  return `${networkRuleKey(network)}bridge`
}

/** Returns the comment of the rules of the network's bridge. */
export function bridgeComment({ network }: Attachment): string {
  return `${bridgeKey(network)}, net: ${plain(network)}`
}

/** Returns the address that a pod's rule is for. */
export function addressIn(steps: readonly FoundExpression[]): Address | undefined {
  const at = steps.findIndex(({ name }) => name === "payload")
  const { data } = (steps[at + 1]?.data ?? {}) as { data?: { value?: Uint8Array } }
  return at >= 0 && data?.value ? addressFromBytes(data.value) : undefined
}
