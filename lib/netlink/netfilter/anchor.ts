import type { Conversation, Request } from "../conversation.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { appendRule, type FoundRule, findRule, type Rule } from "./rule.ts"
import { type Chain, ensureChain, type FoundChain, listChains, readChain, type Table } from "./ruleset.ts"

/*
 * A chain has the rules of all pods, and the kernel finds one of them by its handle alone. A table numbers what a transaction adds to it one
 * after the other: so the handles of rules that are made right behind an empty chain of a known name follow from that chain's. What such an
 * anchor promises is never taken on trust: if one of the rules is not there, or not the attachment's, the anchor leads nowhere.
 */

/** A rule, and the chain that it is appended to. */
export interface PlacedRule {
  readonly chain: Chain
  readonly rule: Rule
}

/** An anchor that is there. */
export interface FoundAnchor {
  readonly chain: FoundChain
  /** The rules, in the order in which they were made; undefined if one of them is missing or another's. */
  readonly rules: readonly FoundRule[] | undefined
}

/** Limits the rules of an anchor, each of which is read by a request of its own: more are found sooner by listing the chain. */
const MAX_RULES = 40

/** Returns true if so many rules may have an anchor. */
export function mayBeAnchored(rules: number): boolean {
  return rules > 0 && rules <= MAX_RULES
}

/**
 * Returns the changes that make the anchor and the rules, for transact(): EEXIST if the anchor exists. The rules are in chains of the anchor's
 * table, of which those of one chain follow each other.
 */
export function anchoredRules(anchor: Chain, rules: readonly PlacedRule[]): Request[] {
  const chain = ensureChain({ ...anchor, comment: COMMENT, note: noteOf(rules) })
  return [{ ...chain, flags: NLM_F_CREATE | NLM_F_EXCL }, ...rules.map(({ chain, rule }) => appendRule(chain, rule))]
}

/** Returns what an anchor's note says of these rules: how many there are in each chain. */
function noteOf(rules: readonly PlacedRule[]): string {
  const counts: number[] = []
  let before: Chain | undefined
  for (const { chain } of rules) {
    if (chain === before) counts.push((counts.pop() ?? 0) + 1)
    else counts.push(1)
    before = chain
  }
  return counts.join(SEPARATOR)
}

/** Begins the names of anchors. */
export const ANCHOR = "cni-ts-"

const COMMENT = "cni-ts finds the rules of a pod by this"

/** Stands between the numbers of rules in each chain. */
const SEPARATOR = "/"

/** Returns the anchors of the table whose names, without ANCHOR, pass the test. */
export function listAnchors(nfnetlink: Conversation, table: Table, test: (name: string) => boolean): Chain[] {
  return listChains(nfnetlink, table).filter(({ name }) => name.startsWith(ANCHOR) && test(name.slice(ANCHOR.length)))
}

/** Returns the anchor, with its rules if all of them pass the test; undefined if it is not there. `chains` are theirs, in order. */
export function readAnchor(
  nfnetlink: Conversation,
  { table, name }: Chain,
  chains: readonly Chain[],
  test: (rule: FoundRule) => boolean,
): FoundAnchor | undefined {
  const chain = readChain(nfnetlink, { table, name })
  return chain && { chain, rules: readAnchored(nfnetlink, chain, chains, test) }
}

function readAnchored(
  nfnetlink: Conversation,
  { handle, note = "" }: FoundChain,
  chains: readonly Chain[],
  test: (rule: FoundRule) => boolean,
): FoundRule[] | undefined {
  const rules: FoundRule[] = []
  for (const [index, count] of note.split(SEPARATOR).entries()) {
    const chain = chains[index]
    for (let left = Number(count); chain && left > 0; left--) {
      const rule = findRule(nfnetlink, chain, handle + BigInt(rules.length + 1))
      if (!rule || !test(rule)) return undefined
      rules.push(rule)
    }
  }
  return rules.length > 0 ? rules : undefined
}
