import type { Address } from "../../../lib/ip/address.ts"
import { listIptablesRules } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { natChain } from "./chains.ts"
import { listEntries } from "./pods.ts"

/** Returns true if `test` is true of the address of a pod that the node's programs reach by 127.0.0.1, by rules of iptables. */
export function someReachedByLocalhost(nfnetlink: Conversation, test: (address: Address) => boolean): boolean {
  const chains = new Set(listEntries(nfnetlink, 4).map(({ target }) => target()))
  for (const chain of chains) {
    if (chain === undefined) continue
    let marks = false
    for (const rule of listIptablesRules(nfnetlink, natChain(4, chain), "")) {
      const action = rule.read()?.action
      if (!action) continue
      if ("jump" in action) marks = true
      if (!("dnat" in action)) continue
      if (marks && test(action.dnat.address)) return true
      break // most chains lead to one address
    }
  }
  return false
}
