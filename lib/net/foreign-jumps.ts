import type { Conversation, Request } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import { type FoundRule, readTableRules } from "../netlink/netfilter/rule.ts"
import { type Chain, deleteChain, formatChain, formatTable, readChain } from "../netlink/netfilter/ruleset.ts"
import { cleanUp, retried } from "../netlink/netfilter/transaction.ts"

/** What is to go in one transaction. */
export interface Removal {
  readonly changes: readonly Request[]
  /** Chains that are there, and that the changes leave without rules and without jumps of ours to them. */
  readonly chains: readonly Chain[]
}

/**
 * Removes all that `plan` returns, in one transaction. If rules of others lead to one of the chains, the kernel keeps it: all else goes,
 * it stays empty, and the line returned for it names those rules.
 */
export function removeWithChains(netfilter: Conversation, plan: () => Removal): string[] {
  try {
    cleanUp(netfilter, () => {
      const { changes, chains } = plan()
      return [...changes, ...chains.map(deleteChain)]
    })
    return []
  } catch (error) {
    if (!refusedWith(error, "EBUSY")) throw error
  }
  let chains: readonly Chain[] = []
  cleanUp(netfilter, () => {
    const removal = plan()
    chains = removal.chains
    return removal.changes
  })
  return chains.filter((chain) => !isRemoved(netfilter, chain)).map((chain) => describeHeld(netfilter, chain))
}

function isRemoved(netfilter: Conversation, chain: Chain): boolean {
  try {
    cleanUp(netfilter, () => (readChain(netfilter, chain) ? [deleteChain(chain)] : []))
    return true
  } catch (error) {
    if (refusedWith(error, "EBUSY")) return false
    throw error
  }
}

/** Says what holds a chain that the kernel does not delete, as far as rules of its table do. */
export function describeHeld(netfilter: Conversation, chain: Chain): string {
  const leads = (rule: FoundRule) => (targetIn(rule.expressions()) === chain.name ? describe(rule) : undefined)
  const rules = retried(() => readTableRules(netfilter, chain.table, leads))
  const holders = rules.length > 0 ? rules.join(", ") : `a map of ${formatTable(chain.table)}`
  return `${formatChain(chain)} is empty but stays, as somebody else leads there: ${holders}`
}

function describe({ handle, chain, comment }: FoundRule): string {
  const says = comment === undefined ? "" : ` (${JSON.stringify(comment)})`
  return `rule handle ${handle} of chain ${JSON.stringify(chain)}${says}`
}
