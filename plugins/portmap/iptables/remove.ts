import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Family } from "../../../lib/ip/address.ts"
import { type Removal, together } from "../../../lib/net/foreign-jumps.ts"
import { deleteListed, type ListedRule, planChainRemoval } from "../../../lib/net/iptables.ts"
import type { Conversation } from "../../../lib/netlink/conversation.ts"
import { deleteRule, flushChain } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { PodRule } from "../hostport/rule-list.ts"
import { noteOf, oldMasqueradeChain, podChain } from "./chains.ts"
import { listOwnEntries, listPodRulesIn } from "./pods.ts"

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
  const rules = listPodRulesIn(nfnetlink, chain, entries[0])
  const removal = planRulesRemoval(chain, entries, rules, (other) => other === undefined || other === note)
  const old = planChainRemoval(nfnetlink, ...oldMasqueradeChain(family, attachment))
  return { ...together([removal, old]), rules: removal.rules }
}

/**
 * Plans to remove `entries`, which lead to a container's chain, and those of the chain's rules whose notes pass the test; and the chain, if
 * that is all of them.
 */
export function planRulesRemoval(
  chain: Chain,
  entries: readonly ListedRule[],
  all: readonly PodRule[],
  test: (note: string | undefined) => boolean,
): IptablesRemoval {
  const rules = all.filter(({ note }) => test(note))
  const jumps = entries.map(deleteListed)
  if (rules.length === all.length) return { changes: [...jumps, flushChain(chain)], chains: [chain], rules }
  return { changes: [...jumps, ...rules.map(({ handle }) => deleteRule(chain, handle))], chains: [], rules }
}
