import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Family } from "../../../lib/ip/address.ts"
import { type Removal, together } from "../../../lib/net/foreign-jumps.ts"
import { deleteListed, type ListedRule, planChainRemoval } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { flushChain } from "../../../lib/netlink/netfilter/rule.ts"
import { readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { PodRule } from "../hostport/rule-list.ts"
import { natChain, noteOf, oldMasqueradeChain, podChain } from "./chains.ts"
import { listChain, listOwnEntries, toPodRules } from "./pods.ts"

/** A removal, with the rules of containers' chains that it is about. */
export interface IptablesRemoval extends Removal {
  readonly rules: readonly PodRule[]
}

/** Plans to remove the attachment's rules, whoever made them, and the container's chain if no other interface of it has rules there. */
export function planPodRemoval(nfnetlink: Conversation, family: Family, attachment: Attachment): IptablesRemoval {
  const chain = podChain(family, attachment)
  if (!readChain(nfnetlink, chain)) return { changes: [], chains: [], rules: [] }
  const note = noteOf(attachment)
  const entries = listOwnEntries(nfnetlink, family, chain.name, note)
  const isOwn = (rule: ListedRule) => rule.note === undefined || rule.note === note
  const removal = planChainRules(nfnetlink, family, chain.name, entries, isOwn)
  const old = planChainRemoval(nfnetlink, ...oldMasqueradeChain(family, attachment))
  return { ...together([removal, old]), rules: removal.rules }
}

/** Plans to remove `entries`, which lead to the container's chain, and its rules that pass the test; and the chain, if they are all. */
export function planChainRules(
  nfnetlink: Conversation,
  family: Family,
  name: string,
  entries: readonly ListedRule[],
  test: (rule: ListedRule) => boolean,
): IptablesRemoval {
  const all = listChain(nfnetlink, family, name)
  const removed = all.filter(test)
  const rules = toPodRules(entries[0]?.read(), removed)
  const jumps = entries.map(deleteListed)
  if (removed.length < all.length) return { changes: [...jumps, ...removed.map(deleteListed)], chains: [], rules }
  const chain = natChain(family, name)
  return { changes: [...jumps, flushChain(chain)], chains: [chain], rules }
}
