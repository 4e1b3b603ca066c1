import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { describeRule, listIptablesRules, textOf } from "../../lib/net/iptables.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { retried } from "../../lib/netlink/netfilter/transaction.ts"
import { formatIptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import type { FirewallConfig } from "./config.ts"
import { type Demand, demandsOf } from "./demand.ts"
import { CHAIN, filterChain, toBridges, toPods } from "./rules.ts"

const ADVICE =
  "if something emptied the chains, as a firewall does that is loaded anew, an ADD for any pod brings the shared rules back and one for this pod its own"

/** Returns if the pod's rules are there and packets get to them; throws naming the first difference. */
export function check({ config, attachment, host }: ChainedCheckContext<FirewallConfig>, result: Result): void {
  for (const demand of demandsOf(config, result)) {
    const difference = retried(() => findDifference(host.nfnetlink, demand, ruleKey(attachment)))
    if (difference) throw changed(difference, ADVICE)
  }
}

function findDifference(nfnetlink: Conversation, demand: Demand, key: string): string | undefined {
  const { family, pod, shared, hasPolicy } = demand
  const ways = hasPolicy ? [toBridges, toPods] : [toPods]
  const wanted = [...ways, ...shared, ...pod.map((rule) => ({ chain: CHAIN.pods, rule }))]
  const present = new Map<string, (string | undefined)[]>()
  for (const { chain, rule } of wanted) {
    const texts = present.get(chain) ?? textsIn(nfnetlink, demand, chain, key)
    present.set(chain, texts)
    const text = formatIptablesRule(rule)
    if (!texts.includes(text)) return `there is no rule ${describeRule(filterChain(family, chain), text)}`
  }
  const forward = present.get(CHAIN.forward) ?? []
  const [first = 0, second = 0] = ways.map(({ rule }) => forward.indexOf(formatIptablesRule(rule)))
  if (!hasPolicy || first < second) return undefined
  return `in chain ${CHAIN.forward} the jump to ${CHAIN.pods} comes before that to ${CHAIN.fromBridge}: the ingress policy has no effect`
}

/** Lists the texts of the chain's rules that are this attachment's or do not say whose they are. */
function textsIn(nfnetlink: Conversation, { family }: Demand, chain: string, key: string): (string | undefined)[] {
  return listIptablesRules(nfnetlink, filterChain(family, chain), key).map(textOf)
}
