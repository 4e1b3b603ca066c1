import { describeRule, listIptablesRules } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { formatIptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import { CHAIN } from "../chains.ts"
import type { Demand, Wanted } from "../demand.ts"
import { filterChain, podRules, sharedRules, toBridges, toPods } from "./rules.ts"

/** Returns the first difference from what planIptables() makes, or undefined. */
export function iptablesDifference(
  nfnetlink: Conversation,
  { family, addresses }: Demand,
  { adminChain, policy }: Wanted,
  key: string,
): string | undefined {
  const ways = policy ? [toBridges, toPods] : [toPods]
  const pod = addresses.flatMap(podRules).map((rule) => ({ chain: CHAIN.pods, rule }))
  const present = new Map<string, (string | undefined)[]>()
  for (const { chain, rule } of [...ways, ...sharedRules(adminChain, policy), ...pod]) {
    // Those that are this attachment's or do not say whose they are.
    const texts =
      present.get(chain) ?? listIptablesRules(nfnetlink, filterChain(family, chain), key).map(({ text }) => text())
    present.set(chain, texts)
    const text = formatIptablesRule(rule)
    if (!texts.includes(text)) return `there is no rule ${describeRule(filterChain(family, chain), text)}`
  }
  const forward = present.get(CHAIN.forward) ?? []
  const [first = 0, second = 0] = ways.map(({ rule }) => forward.indexOf(formatIptablesRule(rule)))
  if (!policy || first < second) return undefined
  return `in chain ${CHAIN.forward} the jump to ${CHAIN.pods} comes before that to ${CHAIN.fromBridge}: the ingress policy has no effect`
}
