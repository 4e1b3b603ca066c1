import type { Conversation } from "../../netlink/conversation.ts"
import { type Expression, sameExpressions, targetIn } from "../../netlink/netfilter/expression.ts"
import { listRules } from "../../netlink/netfilter/rule.ts"
import { formatChain, formatTable } from "../../netlink/netfilter/ruleset.ts"
import { retried } from "../../netlink/netfilter/transaction.ts"
import type { Owner } from "../names.ts"
import { formatHostPort } from "../port-mapping.ts"
import type { NetworkStack } from "../stack.ts"
import { isMappedByIptables } from "./iptables-hostport.ts"
import { type Layout, layoutOf } from "./layout.ts"
import { commentOf } from "./marks.ts"
import { mappingRules, masqueradeRules, type PodPorts } from "./pod-rules.ts"
import { listPodRules, ownedBy, type PodRule } from "./rule-list.ts"

/**
 * What differs from what ensureHostports() leaves, the first thing found; undefined if nothing does. Rules of the Go plugin, by
 * whichever backend, will do.
 */
export function findDifference(host: NetworkStack, owner: Owner, pod: PodPorts): string | undefined {
  return retried(() => differenceIn(host.netfilter, owner, pod))
}

function differenceIn(netfilter: Conversation, owner: Owner, pod: PodPorts): string | undefined {
  const layout = layoutOf(pod.family)
  const own = listPodRules(netfilter, layout, commentOf(owner.containerId)).filter(ownedBy(owner, [pod.address]))
  if (own.length === 0 && isMappedByIptables(netfilter, layout, owner)) return undefined
  return (
    differenceInMappings(layout, pod, own) ??
    differenceInMasquerade(layout, pod, own) ??
    differenceInShared(netfilter, layout)
  )
}

function differenceInMappings(layout: Layout, pod: PodPorts, own: readonly PodRule[]): string | undefined {
  const rest = own.filter(({ chain }) => chain !== layout.masquerading.name)
  const withConditions = mappingRules(pod)
  const without = mappingRules({ ...pod, conditions: [] }) // where the Go plugin has them in its shared rules
  for (const [index, mapping] of pod.mappings.entries()) {
    const isIt = (rule: PodRule) =>
      isRule(rule, withConditions[index]) || (rule.note === undefined && isRule(rule, without[index]))
    const at = rest.findIndex(isIt)
    if (at < 0) return `the rule for host port ${formatHostPort(mapping)} is missing in ${formatTable(layout.table)}`
    rest.splice(at, 1)
  }
  const [more] = rest
  return more && `there is a rule too many for ${describe(more)} in ${formatTable(layout.table)}`
}

/** The Go plugin's rules differ from version to version: of them it is enough that there are some. */
function differenceInMasquerade({ masquerading }: Layout, pod: PodPorts, own: readonly PodRule[]): string | undefined {
  const rest = own.filter(({ chain }) => chain === masquerading.name)
  const wanted = masqueradeRules(pod)
  if (rest.length > 0 && wanted.length > 0 && rest.every(({ note }) => note === undefined)) return undefined
  for (const expressions of wanted) {
    const at = rest.findIndex((rule) => isRule(rule, expressions))
    if (at < 0) return `a rule is missing in ${formatChain(masquerading)}`
    rest.splice(at, 1)
  }
  return rest.length > 0 ? `there is a rule too many in ${formatChain(masquerading)}` : undefined
}

function differenceInShared(netfilter: Conversation, { shared }: Layout): string | undefined {
  for (const { chain, rules } of shared) {
    const found = listRules(netfilter, chain).map((rule) => targetIn(rule.expressions()))
    for (const wanted of rules.map(({ expressions }) => targetIn(expressions))) {
      if (!found.includes(wanted)) return `the jump to ${wanted} is missing in ${formatChain(chain)}`
    }
  }
  return undefined
}

function isRule(rule: PodRule, expressions: readonly Expression[] | undefined): boolean {
  return expressions !== undefined && sameExpressions(rule.expressions(), expressions)
}

function describe({ reading: { protocol, destinationPort } }: PodRule): string {
  return destinationPort === undefined ? "the pod" : `port ${destinationPort} of protocol ${protocol}`
}
