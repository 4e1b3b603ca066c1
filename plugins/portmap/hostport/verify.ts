import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { type FoundExpression, sameExpressions, targetIn } from "../../../lib/netlink/netfilter/expression.ts"
import { type FoundRule, listRules } from "../../../lib/netlink/netfilter/rule.ts"
import { formatChain, formatTable } from "../../../lib/netlink/netfilter/ruleset.ts"
import { retried } from "../../../lib/netlink/netfilter/transaction.ts"
import { formatHostPort, groupByPort, type PortMapping, portKey, protocols } from "../port-mapping.ts"
import { isMappedByIptables } from "./iptables-hostport.ts"
import { type Layout, layoutOf } from "./layout.ts"
import { commentOf } from "./marks.ts"
import { mappingRule, masqueradeRules, type PodPorts } from "./pod-rules.ts"
import { briefly, ownedBy, type PodRule, readPodRules } from "./rule-list.ts"

/**
 * What differs from what ensureHostports() leaves, the first thing found; undefined if nothing does. Rules of the Go plugin, by
 * whichever backend, will do.
 */
export function findDifference(host: NetworkStack, attachment: Attachment, pod: PodPorts): string | undefined {
  return retried(() => differenceIn(host.nfnetlink, attachment, pod))
}

function differenceIn(nfnetlink: Conversation, attachment: Attachment, pod: PodPorts): string | undefined {
  const layout = layoutOf(pod.family)
  const own = listOwnRules(nfnetlink, layout, attachment, pod)
  if (own.length === 0 && isMappedByIptables(nfnetlink, layout, attachment)) return undefined
  return (
    differenceInMappings(layout, pod, own) ??
    differenceInMasquerade(layout, pod, own) ??
    differenceInShared(nfnetlink, layout)
  )
}

/** One of the attachment's rules. */
interface OwnRule extends PodRule {
  /** The mappings that it makes, each by itself: one, unless the same is wanted twice. */
  readonly makes: readonly PortMapping[]
  /** Which of masqueradeRules() it is, or -1. */
  readonly masquerades: number
}

/** Compares each rule as it is read: so thousands need not be kept with all their steps. */
function listOwnRules(nfnetlink: Conversation, layout: Layout, attachment: Attachment, pod: PodPorts): OwnRule[] {
  const isOwn = ownedBy(attachment, [pod.address])
  const mappings = groupByPort(pod.mappings, ({ protocol, hostPort }) => portKey(protocols[protocol], hostPort))
  const masquerading = masqueradeRules(pod)
  const read = (rule: FoundRule): OwnRule | undefined => {
    const steps = rule.expressions()
    const brief = briefly({ ...rule, expressions: () => steps })
    if (!isOwn(brief)) return undefined
    const { protocol = 0, destinationPort = 0 } = brief.reading
    return {
      ...brief,
      makes: (mappings.get(portKey(protocol, destinationPort)) ?? []).filter((mapping) =>
        isMapping(rule, steps, pod, mapping),
      ),
      masquerades: masquerading.findIndex((wanted) => sameExpressions(steps, wanted)),
    }
  }
  return readPodRules(nfnetlink, layout, read, commentOf(attachment.containerId))
}

function isMapping(
  { note }: FoundRule,
  steps: readonly FoundExpression[],
  pod: PodPorts,
  mapping: PortMapping,
): boolean {
  if (sameExpressions(steps, mappingRule(pod, mapping))) return true
  // The Go plugin has the conditions in its shared rules.
  return note === undefined && sameExpressions(steps, mappingRule({ ...pod, conditions: [] }, mapping))
}

function differenceInMappings(layout: Layout, pod: PodPorts, own: readonly OwnRule[]): string | undefined {
  const made = new Set<PortMapping>()
  let more: OwnRule | undefined
  for (const rule of own) {
    if (rule.chain === layout.masquerading.name) continue
    const mapping = rule.makes.find((each) => !made.has(each))
    if (mapping) made.add(mapping)
    else more ??= rule
  }
  const missing = pod.mappings.find((mapping) => !made.has(mapping))
  if (missing) return `the rule for host port ${formatHostPort(missing)} is missing in ${formatTable(layout.table)}`
  return more && `there is a rule too many for ${describe(more)} in ${formatTable(layout.table)}`
}

/** The Go plugin's rules differ from version to version: of them it is enough that there are some. */
function differenceInMasquerade({ masquerading }: Layout, pod: PodPorts, own: readonly OwnRule[]): string | undefined {
  const found = own.filter(({ chain }) => chain === masquerading.name)
  const wanted = masqueradeRules(pod).length
  if (found.length > 0 && wanted > 0 && found.every(({ note }) => note === undefined)) return undefined
  const made = new Set(found.map(({ masquerades }) => masquerades).filter((index) => index >= 0))
  if (made.size < wanted) return `a rule is missing in ${formatChain(masquerading)}`
  return found.length > made.size ? `there is a rule too many in ${formatChain(masquerading)}` : undefined
}

function differenceInShared(nfnetlink: Conversation, { shared }: Layout): string | undefined {
  for (const { chain, rules } of shared) {
    const found = listRules(nfnetlink, chain).map((rule) => targetIn(rule.expressions()))
    for (const wanted of rules.map(({ expressions }) => targetIn(expressions))) {
      if (!found.includes(wanted)) return `the jump to ${wanted} is missing in ${formatChain(chain)}`
    }
  }
  return undefined
}

function describe({ reading: { protocol, destinationPort } }: PodRule): string {
  return destinationPort === undefined ? "the pod" : `port ${destinationPort} of protocol ${protocol}`
}
