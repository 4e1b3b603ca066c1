import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import {
  ANCHOR,
  anchoredRules,
  type FoundAnchor,
  mayBeAnchored,
  type PlacedRule,
  readAnchor,
} from "../../../lib/netlink/netfilter/anchor.ts"
import { commentData } from "../../../lib/netlink/netfilter/comment.ts"
import { appendRule, type FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { sameBytes } from "../../../lib/sys/bytes.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import type { PodMappings } from "../pod-mappings.ts"
import type { Layout } from "./layout.ts"
import { hostportMasqueradeRules, mappingRule } from "./pod-rules.ts"
import type { RuleTag } from "./rule-tag.ts"

/*
 * An attachment's rules have an anchor in their table, so that CHECK and DEL need not read all pods' rules, as long as they are all that the
 * container has: an ADD for another attachment of it takes the anchor away.
 */

/** A rule as far as it bears the parts of a tag, or others'. */
export type Tagged = Pick<FoundRule, "comment" | "note">

/** Returns the anchor of the attachment with that tag. */
function anchorOf({ table }: Layout, tag: RuleTag): Chain {
  return { table, name: ANCHOR + anchorKey(tag) }
}

/** Returns what an anchor's name says of the attachment with that tag: digests of its network, and of all. */
export function anchorKey({ comment, note }: RuleTag): string {
  const [network = ""] = note.split(" ")
  return `${digest(network)}-${digest(`${comment} ${note}`)}`
}

function digest(text: string): string {
  return sha512Hex(text).slice(0, 16)
}

/** Plans the attachment's rules. If it has an anchor, the kernel answers EEXIST. */
export function* planPodRules(
  layout: Layout,
  tag: RuleTag,
  wanted: PodMappings,
  isOnlyOne: boolean,
): Generator<Request> {
  const rules = podRules(layout, tag, wanted)
  const few = isOnlyOne && mayBeAnchored(wanted.mappings.length) ? [...rules] : undefined
  if (few && mayBeAnchored(few.length)) yield* anchoredRules(anchorOf(layout, tag), few)
  else for (const { chain, rule } of few ?? rules) yield appendRule(chain, rule)
}

/** Yields the attachment's rules, in the order in which they are made. */
export function* podRules(
  { hostports, masquerading }: Layout,
  tag: RuleTag,
  wanted: PodMappings,
): Generator<PlacedRule> {
  const userData = commentData(tag.comment, tag.note)
  for (const mapping of wanted.mappings) {
    yield { chain: hostports, rule: { expressions: mappingRule(wanted, mapping), userData } }
  }
  for (const expressions of hostportMasqueradeRules(wanted)) {
    yield { chain: masquerading, rule: { expressions, userData } }
  }
}

/** Returns the anchor of the attachment with that tag, with its rules if they are whole. */
export function readPodAnchor(nfnetlink: Conversation, layout: Layout, tag: RuleTag): FoundAnchor | undefined {
  const { hostports, masquerading } = layout
  const own = commentData(tag.comment, tag.note)
  const isOwn = ({ userData }: FoundRule) => sameBytes(userData, own)
  return readAnchor(nfnetlink, anchorOf(layout, tag), [hostports, masquerading], isOwn)
}

/** Returns the anchor's rules, which are all that its container has; undefined if that is not certain, as somebody else may have added some. */
export function anchoredAfter(
  last: bigint | undefined,
  anchor: FoundAnchor | undefined,
): readonly FoundRule[] | undefined {
  return anchor && last !== undefined && anchor.chain.handle > last ? anchor.rules : undefined
}

/** Returns the anchors that are there of attachments with rules like these. */
export function findAnchors(nfnetlink: Conversation, layout: Layout, rules: Iterable<Tagged>): Chain[] {
  const anchors = [...anchorKeys(rules)].map((key): Chain => ({ table: layout.table, name: ANCHOR + key }))
  return anchors.filter((anchor) => readChain(nfnetlink, anchor) !== undefined)
}

/** Returns anchorKey() for each attachment that the rules name. */
export function anchorKeys(rules: Iterable<Tagged>): Set<string> {
  const keys = new Set<string>()
  let before: Tagged | undefined
  for (const { comment, note } of rules) {
    if (comment === undefined || note === undefined) continue
    if (comment !== before?.comment || note !== before.note) keys.add(anchorKey({ comment, note }))
    before = { comment, note }
  }
  return keys
}
