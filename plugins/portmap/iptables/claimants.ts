import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Family } from "../../../lib/ip/address.ts"
import { type ListedRule, listIptablesRulesFor } from "../../../lib/net/iptables.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { findGoneClaimants } from "../hostport/claimants.ts"
import { planHostportsRemoval } from "../hostport/hostports.ts"
import { layoutOf } from "../hostport/layout.ts"
import { belongsTo, listPodRules, type PodRule } from "../hostport/rule-list.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { CHAIN, natChain, podChain } from "./chains.ts"
import { listPodRulesIn } from "./pods.ts"
import { planRulesRemoval } from "./remove.ts"

/**
 * Plans to remove the rules of pods that have one of the ports and are gone, and what the attachment itself has in nftables. Throws Conflict
 * if one of those pods may still exist. Both backends are looked at: a node may be in the middle of a switch.
 */
export function planTakeover(host: NetworkStack, attachment: Attachment, pod: PodMappings): Iterable<Request>[] {
  const { nfnetlink } = host
  const layout = layoutOf(pod.family)
  const isOwn = belongsTo(attachment, [pod.address])
  const inNftables = listPodRules(nfnetlink, layout)
  const chains = readClaimingChains(host, attachment, pod)
  const others = [...inNftables.filter((rule) => !isOwn(rule)), ...chains.flatMap(({ rules }) => rules)]
  const gone = findGoneClaimants(host, attachment, pod, others)
  const removed = inNftables.filter((rule) => isOwn(rule) || gone.has(rule))
  return [
    planHostportsRemoval(nfnetlink, layout, removed),
    ...chains.flatMap(({ name, entries, rules }) => {
      const notes = new Set(rules.filter((rule) => gone.has(rule)).map(({ note }) => note))
      if (notes.size === 0) return []
      const jumps = entries.filter(({ note }) => notes.has(note))
      return [planRulesRemoval(natChain(pod.family, name), jumps, rules, (note) => notes.has(note)).changes]
    }),
  ]
}

/** The chain of another container to which one of the ports leads. */
interface ClaimingChain {
  readonly name: string
  readonly entries: ListedRule[]
  readonly rules: readonly PodRule[]
}

function readClaimingChains({ nfnetlink }: NetworkStack, attachment: Attachment, pod: PodMappings): ClaimingChain[] {
  const own = podChain(pod.family, attachment).name
  const ports = new Set(pod.mappings.map(({ hostPort }) => hostPort))
  const chains = new Map<string, ClaimingChain>()
  for (const entry of listIptablesRulesFor(nfnetlink, natChain(pod.family, CHAIN.dnat), ports)) {
    const name = entry.target()
    if (name === undefined || name === own) continue
    const known = chains.get(name)
    if (known) known.entries.push(entry)
    else chains.set(name, chainOf(nfnetlink, pod.family, name, entry))
  }
  return [...chains.values()]
}

function chainOf(nfnetlink: Conversation, family: Family, name: string, entry: ListedRule): ClaimingChain {
  return { name, entries: [entry], rules: listPodRulesIn(nfnetlink, natChain(family, name), entry) }
}
