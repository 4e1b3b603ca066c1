import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { isMadeOf, isWritten, type Step, targetIn } from "../../../lib/netlink/netfilter/expression.ts"
import type { FoundRule, Rule } from "../../../lib/netlink/netfilter/rule.ts"
import { formatChain, formatTable } from "../../../lib/netlink/netfilter/ruleset.ts"
import { retried } from "../../../lib/netlink/netfilter/transaction.ts"
import type { PortmapConfig } from "../config.ts"
import { findIptablesDifference, hasIptablesChain, isMappedByIptables } from "../iptables/verify.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { formatHostPort, groupByPort, type PortMapping, portKey, protocols } from "../port-mapping.ts"
import { type Layout, lastWriting, layoutOf, sharedReader } from "./layout.ts"
import { anchoredAfter, podRules, readPodAnchor } from "./pod-anchor.ts"
import { hostportMasqueradeRules, mappingRule } from "./pod-rules.ts"
import { belongsTo, type PodRule, readPodRules, toPodRule } from "./rule-list.ts"
import { type RuleTag, tagOf } from "./rule-tag.ts"

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
  const shared = sharedReader(nfnetlink)
  const tag = tagOf(attachment)
  const anchor = readPodAnchor(nfnetlink, layout, tag)
  const anchored = anchor && anchoredAfter(lastWriting(nfnetlink, layout, shared), anchor)
  if (anchored && areAsMade(anchored, layout, tag, pod)) return differenceInShared({ layout, shared })
  const reading: Reading = { layout, pod, masquerading: hostportMasqueradeRules(pod), shared }
  const own = listOwnRules(nfnetlink, attachment, reading, anchored)
  const { backend } = config
  if (own.length === 0 && backend !== "nftables" && (backend || hasIptablesChain(nfnetlink, attachment, pod))) {
    return findIptablesDifference(nfnetlink, attachment, config, pod)
  }
  // The configuration does not say any more what the rules of iptables were to say.
  if (own.length === 0 && backend && isMappedByIptables(nfnetlink, attachment, pod)) return undefined
  return pod.mappings.length > 0 ? differenceInNftables(reading, own) : undefined
}

/** Returns true if these are the rules of ADD, one after the other, byte for byte: nearly always. */
function areAsMade(found: readonly FoundRule[], layout: Layout, tag: RuleTag, pod: PodMappings): boolean {
  const { length } = pod.mappings
  if (length === 0 || found.length < length) return false
  const wanted = [...podRules(layout, tag, pod)]
  const rules = wanted.map(({ rule }) => rule)
  return areWritten(found, rules) && wanted.every(({ chain }, at) => chain.name === found[at]?.chain)
}

function areWritten(found: readonly FoundRule[], wanted: readonly Rule[]): boolean {
  return found.length === wanted.length && found.every((rule, at) => isWritten(rule, wanted[at]?.expressions ?? []))
}

/** The rules that are wanted of one family, and those of shared chains. */
interface Reading {
  readonly layout: Layout
  readonly pod: PodMappings
  readonly masquerading: readonly Step[][]
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
function listOwnRules(
  nfnetlink: Conversation,
  attachment: Attachment,
  reading: Reading,
  anchored: readonly FoundRule[] | undefined,
): OwnRule[] {
  const read = ownRuleReader(attachment, reading)
  return anchored
    ? anchored.map(read).filter((rule) => rule !== undefined)
    : readPodRules(nfnetlink, reading.layout, read, tagOf(attachment).comment)
}

function ownRuleReader(
  attachment: Attachment,
  { layout, pod, masquerading }: Reading,
): (rule: FoundRule) => OwnRule | undefined {
  const isOwn = belongsTo(attachment, [pod.address])
  const mappings = groupByPort(pod.mappings, ({ protocol, hostPort }) => portKey(protocols[protocol], hostPort))
  return (rule) => {
    const podRule = toPodRule(rule)
    if (!isOwn(podRule)) return undefined
    if (rule.chain === layout.masquerading.name) {
      const masqueradeIndex = masquerading.findIndex((wanted) => isMadeOf(rule, wanted))
      return { ...podRule, serves: [], masqueradeIndex }
    }
    const { protocol = 0, destinationPort = 0 } = podRule.reading
    return {
      ...podRule,
      serves: (mappings.get(portKey(protocol, destinationPort)) ?? []).filter((mapping) =>
        isMapping(rule, pod, mapping),
      ),
      masqueradeIndex: -1,
    }
  }
}

function isMapping(rule: FoundRule, pod: PodMappings, mapping: PortMapping): boolean {
  if (isMadeOf(rule, mappingRule(pod, mapping))) return true
  // The Go plugin has the conditions in its shared rules.
  return rule.note === undefined && isMadeOf(rule, mappingRule({ ...pod, conditions: [] }, mapping))
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

function differenceInShared({ layout, shared }: Pick<Reading, "layout" | "shared">): string | undefined {
  for (const part of layout.shared) {
    const found = shared(part)
    if (areWritten(found, part.rules)) continue
    const targets = found.map((rule) => targetIn(rule.expressions()))
    for (const wanted of part.targets) {
      if (!targets.includes(wanted)) return `the jump to ${wanted} is missing in ${formatChain(part.chain)}`
    }
  }
  return undefined
}

function describe({ reading: { protocol, destinationPort } }: PodRule): string {
  return destinationPort === undefined ? "the pod" : `port ${destinationPort} of protocol ${protocol}`
}
