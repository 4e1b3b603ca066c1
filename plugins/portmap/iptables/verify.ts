import type { Attachment } from "../../../lib/cni/attachment.ts"
import { describeRule, isReached, listIptablesRules } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { type Chain, readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { formatIptablesRule, type IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { PortmapConfig } from "../config.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { CHAIN, natChain, noteOf, podChain } from "./chains.ts"
import { sharedRules } from "./ensure.ts"
import { chainRules, entryRules } from "./pod-rules.ts"
import { listOwnEntries, listOwnRules } from "./pods.ts"

/** Returns true if the container has a chain, whichever plugin made it. */
export function hasIptablesChain(nfnetlink: Conversation, attachment: Attachment, { family }: PodMappings): boolean {
  return readChain(nfnetlink, podChain(family, attachment)) !== undefined
}

/** Returns true if packets are led to the container's chain, whatever that says. */
export function isMappedByIptables(nfnetlink: Conversation, attachment: Attachment, { family }: PodMappings): boolean {
  return isReached(nfnetlink, podChain(family, attachment), CHAIN.dnat)
}

/** Returns the first difference from what ensureIptablesHostports() makes, or undefined. Rules of the Go plugin are accepted. */
export function findIptablesDifference(
  nfnetlink: Conversation,
  attachment: Attachment,
  config: PortmapConfig,
  pod: PodMappings,
): string | undefined {
  const { family } = pod
  const note = noteOf(attachment)
  const chain = podChain(family, attachment)
  const dnat = natChain(family, CHAIN.dnat)
  const own = listOwnRules(nfnetlink, chain, note).map(({ text }) => text)
  const entries = listOwnEntries(nfnetlink, family, chain.name, note).map(({ text }) => text())
  return (
    differenceIn(chain, own, chainRules(config, pod)) ??
    differenceIn(dnat, entries, entryRules(config, attachment, family)) ??
    differenceInShared(nfnetlink, config, pod)
  )
}

/** Compares what has to be there in that order, and nothing else. */
function differenceIn(
  chain: Chain,
  found: readonly (string | undefined)[],
  wanted: Iterable<IptablesRule>,
): string | undefined {
  const texts = found.map((text) => text ?? "a rule of another kind")
  const inOrder: string[] = []
  const present = new Set(texts)
  for (const rule of wanted) {
    const text = formatIptablesRule(rule)
    if (!present.has(text)) return `there is no rule ${describeRule(chain, text)}`
    inOrder.push(text)
  }
  const unseen = new Set(inOrder)
  const surplus = texts.find((text) => !unseen.delete(text))
  if (surplus !== undefined) return `there is a rule too many: ${describeRule(chain, surplus)}`
  const displaced = inOrder.find((text, at) => texts[at] !== text)
  return displaced && `a rule is not in its place: ${describeRule(chain, displaced)}`
}

function differenceInShared(
  nfnetlink: Conversation,
  config: PortmapConfig,
  { family }: PodMappings,
): string | undefined {
  const found = new Map<string, Set<string | undefined>>()
  for (const { chain, rule } of sharedRules(config, family)) {
    const texts = found.get(chain.name) ?? new Set(listIptablesRules(nfnetlink, chain, "").map(({ text }) => text()))
    found.set(chain.name, texts)
    const text = formatIptablesRule(rule)
    if (!texts.has(text)) return `there is no rule ${describeRule(chain, text)}`
  }
  return undefined
}
