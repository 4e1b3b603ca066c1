import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import {
  type Expression,
  type FoundExpression,
  sameExpressions,
  targetIn,
} from "../../../lib/netlink/netfilter/expression.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { formatChain, formatTable } from "../../../lib/netlink/netfilter/ruleset.ts"
import { retried } from "../../../lib/netlink/netfilter/transaction.ts"
import type { PortmapConfig } from "../config.ts"
import { findIptablesDifference, hasIptablesChain, isMappedByIptables } from "../iptables/verify.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { formatHostPort, groupByPort, type PortMapping, portKey, protocols } from "../port-mapping.ts"
import { type Layout, lastWriting, layoutOf, sharedReader } from "./layout.ts"
import { anchoredAfter, readPodAnchor } from "./pod-anchor.ts"
import { hostportMasqueradeRules, mappingRule } from "./pod-rules.ts"
import { belongsTo, type PodRule, readPodRules, toPodRule } from "./rule-list.ts"
import { tagOf } from "./rule-tag.ts"

/**
 * Returns the first difference from what ADD makes, or undefined. Rules of the Go plugin are accepted, and those of the other backend: the
 * configuration may have been another when the pod was added.
 */
export function findDifference(
  host: NetworkStack,
  attachment: Attachment,
  config: PortmapConfig,
  pod: PodMappings,
): string | undefined {
  return retried(() => differenceIn(host.nfnetlink, attachment, config, pod))
}

function differenceIn(
  nfnetlink: Conversation,
  attachment: Attachment,
  config: PortmapConfig,
  pod: PodMappings,
): string | undefined {
  const layout = layoutOf(pod.family)
  const reading: Reading = { layout, pod, masquerading: hostportMasqueradeRules(pod), shared: sharedReader(nfnetlink) }
  const own = listOwnRules(nfnetlink, attachment, reading)
  const { backend } = config
  if (own.length === 0 && backend !== "nftables" && (backend || hasIptablesChain(nfnetlink, attachment, pod))) {
    return findIptablesDifference(nfnetlink, attachment, config, pod)
  }
  // The configuration does not say any more what the rules of iptables were to say.
  if (own.length === 0 && backend && isMappedByIptables(nfnetlink, attachment, pod)) return undefined
  return pod.mappings.length > 0 ? differenceInNftables(reading, own) : undefined
}

/** The rules that are wanted of one family, and those of shared chains. */
interface Reading {
  readonly layout: Layout
  readonly pod: PodMappings
  readonly masquerading: readonly Expression[][]
  readonly shared: ReturnType<typeof sharedReader>
}

function differenceInNftables(reading: Reading, own: readonly OwnRule[]): string | undefined {
  return differenceInMappings(reading, own) ?? differenceInMasquerade(reading, own) ?? differenceInShared(reading)
}

/** One of the attachment's rules. */
interface OwnRule extends PodRule {
  /** The mappings that the rule serves: one, unless the config has the same mapping twice; none in the chain for masquerading. */
  readonly serves: readonly PortMapping[]
  /** In the chain for masquerading the rule's index in hostportMasqueradeRules(), else -1. */
  readonly masqueradeIndex: number
}

/** Compares each rule while it is read, so that thousands need not be kept with their expressions. */
function listOwnRules(nfnetlink: Conversation, attachment: Attachment, reading: Reading): OwnRule[] {
  const { layout, shared } = reading
  const tag = tagOf(attachment)
  const anchor = readPodAnchor(nfnetlink, layout, tag)
  const anchored = anchor && anchoredAfter(lastWriting(nfnetlink, layout, shared), anchor)
  const read = ownRuleReader(attachment, reading)
  return anchored
    ? anchored.map(read).filter((rule) => rule !== undefined)
    : readPodRules(nfnetlink, layout, read, tag.comment)
}

function ownRuleReader(
  attachment: Attachment,
  { layout, pod, masquerading }: Reading,
): (rule: FoundRule) => OwnRule | undefined {
  const isOwn = belongsTo(attachment, [pod.address])
  const mappings = groupByPort(pod.mappings, ({ protocol, hostPort }) => portKey(protocols[protocol], hostPort))
  return (rule) => {
    const expressions = rule.expressions()
    const podRule = toPodRule({ ...rule, expressions: () => expressions })
    if (!isOwn(podRule)) return undefined
    if (rule.chain === layout.masquerading.name) {
      const masqueradeIndex = masquerading.findIndex((wanted) => sameExpressions(expressions, wanted))
      return { ...podRule, serves: [], masqueradeIndex }
    }
    const { protocol = 0, destinationPort = 0 } = podRule.reading
    return {
      ...podRule,
      serves: (mappings.get(portKey(protocol, destinationPort)) ?? []).filter((mapping) =>
        isMapping(rule, expressions, pod, mapping),
      ),
      masqueradeIndex: -1,
    }
  }
}

function isMapping(
  { note }: FoundRule,
  expressions: readonly FoundExpression[],
  pod: PodMappings,
  mapping: PortMapping,
): boolean {
  if (sameExpressions(expressions, mappingRule(pod, mapping))) return true
  // The Go plugin has the conditions in its shared rules.
  return note === undefined && sameExpressions(expressions, mappingRule({ ...pod, conditions: [] }, mapping))
}

function differenceInMappings({ layout, pod }: Reading, own: readonly OwnRule[]): string | undefined {
  const served = new Set<PortMapping>()
  let surplus: OwnRule | undefined
  for (const rule of own) {
    if (rule.chain === layout.masquerading.name) continue
    const mapping = rule.serves.find((each) => !served.has(each))
    if (mapping) served.add(mapping)
    else surplus ??= rule
  }
  const missing = pod.mappings.find((mapping) => !served.has(mapping))
  if (missing) return `the rule for host port ${formatHostPort(missing)} is missing in ${formatTable(layout.table)}`
  return surplus && `there is a rule too many for ${describe(surplus)} in ${formatTable(layout.table)}`
}

/** The Go plugin's rules differ between its versions: one of them is enough. */
function differenceInMasquerade({ layout, masquerading }: Reading, own: readonly OwnRule[]): string | undefined {
  const chain = layout.masquerading
  const found = own.filter((rule) => rule.chain === chain.name)
  const wanted = masquerading.length
  if (found.length > 0 && wanted > 0 && found.every(({ note }) => note === undefined)) return undefined
  const present = new Set(found.map(({ masqueradeIndex }) => masqueradeIndex).filter((index) => index >= 0))
  if (present.size < wanted) return `a rule is missing in ${formatChain(chain)}`
  return found.length > present.size ? `there is a rule too many in ${formatChain(chain)}` : undefined
}

function differenceInShared({ layout, shared }: Reading): string | undefined {
  for (const part of layout.shared) {
    const { chain, rules } = part
    const found = shared(part).map((rule) => targetIn(rule.expressions()))
    for (const wanted of rules.map(({ expressions }) => targetIn(expressions))) {
      if (!found.includes(wanted)) return `the jump to ${wanted} is missing in ${formatChain(chain)}`
    }
  }
  return undefined
}

function describe({ reading: { protocol, destinationPort } }: PodRule): string {
  return destinationPort === undefined ? "the pod" : `port ${destinationPort} of protocol ${protocol}`
}
