import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { readLivingAttachments } from "../../../lib/attachment/living.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { type Family, families, formatAddress } from "../../../lib/ip/address.ts"
import { type Held, removeWithChains, together } from "../../../lib/net/foreign-jumps.ts"
import type { ListedRule } from "../../../lib/net/iptables.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { PodRule } from "../hostport/rule-list.ts"
import { isNoteIn } from "../hostport/rule-tag.ts"
import { natChain, noteOf, withoutDigest } from "./chains.ts"
import { listEntries, listPodRulesIn } from "./pods.ts"
import { type IptablesRemoval, planRulesRemoval } from "./remove.ts"

/**
 * Removes the rules of the network's attachments that are not in `valid`, or, if `valid` is undefined, of those that are certainly gone, in
 * one transaction, and returns them. The Go plugin's rules have no note and stay.
 */
export function collectIptablesHostports(
  host: NetworkStack,
  network: string,
  valid: readonly Attachment[] | undefined,
): { readonly rules: readonly PodRule[]; readonly held: readonly Held[] } {
  let removals: readonly IptablesRemoval[] = []
  const held = removeWithChains(host.nfnetlink, () => {
    removals = families.flatMap((family) => planFamily(host, family, network, valid))
    return together(removals)
  })
  const rules = removals.flatMap((removal) => removal.rules)
  return { rules: rules.map((rule) => ({ ...rule, note: rule.note && withoutDigest(rule.note) })), held }
}

function planFamily(
  host: NetworkStack,
  family: Family,
  network: string,
  valid: readonly Attachment[] | undefined,
): IptablesRemoval[] {
  const found = listEntries(host.nfnetlink, family).filter(({ note }) => note !== undefined && isNoteIn(network, note))
  if (found.length === 0) return []
  // Read after the rules: a pod's interface is made before its rules, so none is missed.
  const known = valid ?? readLivingAttachments(host)
  if (!known) return []
  const notes = new Set<string | undefined>(known.map(noteOf))
  const stale = found.filter(({ note }) => !notes.has(note))
  const removals = [...byChain(stale)].map(([name, entries]) => {
    const [chain, own] = [natChain(family, name), new Set(entries.map(({ note }) => note))]
    const rules = listPodRulesIn(host.nfnetlink, chain, entries[0])
    return planRulesRemoval(chain, entries, rules, (note) => own.has(note))
  })
  return valid || removals.length === 0 ? removals : withoutAddress(removals)
}

function byChain(entries: readonly ListedRule[]): Map<string, ListedRule[]> {
  const chains = new Map<string, ListedRule[]>()
  for (const entry of entries) {
    const chain = entry.target()
    if (chain !== undefined) chains.set(chain, [...(chains.get(chain) ?? []), entry])
  }
  return chains
}

/** Returns the removals of pods whose addresses exist nowhere: a pod with host ports need not have a veth. */
function withoutAddress(removals: readonly IptablesRemoval[]): IptablesRemoval[] {
  const addresses = readLiveAddresses()
  if (!addresses) return []
  return removals.filter(({ rules }) => {
    const led = rules.map(({ reading }) => reading.to).filter((address) => address !== undefined)
    return led.length > 0 && !led.some((address) => addresses.has(formatAddress(address)))
  })
}
