import type { Conversation, Request } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import { type FoundRule, readTableRules } from "../netlink/netfilter/rule.ts"
import { type Chain, deleteChain, formatChain, formatTable, readChain } from "../netlink/netfilter/ruleset.ts"
import { cleanUp, retried } from "../netlink/netfilter/transaction.ts"

/** Rules and chains that are to go in one transaction. */
export interface Removal {
  readonly changes: Iterable<Request>
  /** Chains that are there, and that the changes leave without rules and without jumps of ours to them. */
  readonly chains: readonly Chain[]
}

/** A chain that others keep. */
export interface Held {
  readonly chain: Chain
  /** Says so, and names who keeps it. */
  readonly words: string
}

/** Joins several removals, which may be empty. */
export function together(removals: readonly Removal[]): Removal {
  return { changes: removals.flatMap(({ changes }) => [...changes]), chains: removals.flatMap(({ chains }) => chains) }
}

/**
 * Removes all that `plan` returns, in one transaction. If rules of others lead to one of the chains, the kernel keeps it: all else goes,
 * it stays, empty, and is returned.
 */
export function removeWithChains(nfnetlink: Conversation, plan: () => Removal): Held[] {
  try {
    cleanUp(nfnetlink, () => wholeOf(plan()))
    return []
  } catch (error) {
    if (!refusedWith(error, "EBUSY")) throw error
  }
  let chains: readonly Chain[] = []
  cleanUp(nfnetlink, () => {
    const removal = plan()
    chains = removal.chains
    return removal.changes
  })
  return chains
    .filter((chain) => !isRemoved(nfnetlink, chain))
    .map((chain) => ({ chain, words: describeHeld(nfnetlink, chain) }))
}

/** Yields changes for transact(), which makes all of them, or none if rules of others lead to one of the chains (EBUSY). */
export function* wholeOf({ changes, chains }: Removal): Generator<Request> {
  yield* changes
  for (const chain of chains) yield deleteChain(chain)
}

function isRemoved(nfnetlink: Conversation, chain: Chain): boolean {
  try {
    cleanUp(nfnetlink, () => (readChain(nfnetlink, chain) ? [deleteChain(chain)] : []))
    return true
  } catch (error) {
    if (refusedWith(error, "EBUSY")) return false
    throw error
  }
}

/** Says who leads to a chain that the kernel therefore does not delete: rules of its table, or else a map. */
export function describeHeld(nfnetlink: Conversation, chain: Chain): string {
  const leads = (rule: FoundRule) => (targetIn(rule.expressions()) === chain.name ? describe(rule) : undefined)
  const rules = retried(() => readTableRules(nfnetlink, chain.table, leads))
  const holders = rules.length > 0 ? rules.join(", ") : `a map of ${formatTable(chain.table)}`
  return `${formatChain(chain)} is empty but stays, as somebody else leads there: ${holders}`
}

function describe({ handle, chain, comment }: FoundRule): string {
  const says = comment === undefined ? "" : ` (${JSON.stringify(comment)})`
  return `rule handle ${handle} of chain ${JSON.stringify(chain)}${says}`
}
