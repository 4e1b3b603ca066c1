import type { Attachment } from "../../../lib/cni/attachment.ts"
import { families } from "../../../lib/ip/address.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import { type Held, removeWithChains, wholeOf } from "../../../lib/net/foreign-jumps.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { refusedWith } from "../../../lib/netlink/kernel-error.ts"
import { listAnchors } from "../../../lib/netlink/netfilter/anchor.ts"
import { deleteRule, type FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, deleteChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { planPodRemoval } from "../iptables/remove.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { findGoneClaimants } from "./claimants.ts"
import { claimPorts, hasSentinels, mayHaveRules, releasePorts, rewriteClaims } from "./claims.ts"
import { areClaimsComplete, isIntact, type Layout, lastWriting, layoutOf, planLayout, refuseForeign } from "./layout.ts"
import { anchoredAfter, anchorKeys, findAnchors, planPodRules, readPodAnchor } from "./pod-anchor.ts"
import { belongsTo, listPodRules, type PodRule, readPodRules, toPodRule } from "./rule-list.ts"
import { tagOf } from "./rule-tag.ts"
import { planConditionCopies } from "./shared-conditions.ts"
import { belongsToNone, findStale, isAnchorOfNone } from "./stale-rules.ts"

/**
 * Leads host ports to a pod, in one transaction for both families, and replaces all rules that the attachment had. Throws Conflict if
 * another pod has one of the ports, or another program the table.
 */
export function ensureHostports(host: NetworkStack, attachment: Attachment, wanted: readonly PodMappings[]): void {
  try {
    transact(host.nfnetlink, () => concatenated(wanted.map((each) => planNew(host, attachment, each))))
  } catch (error) {
    // The fast path met existing state: read all rules and replace.
    if (!refusedWith(error, "EEXIST", "ENOENT")) throw error
    replaceHostports(host, attachment, wanted)
  }
}

function replaceHostports(host: NetworkStack, attachment: Attachment, wanted: readonly PodMappings[]): void {
  try {
    transact(host.nfnetlink, () =>
      concatenated([
        ...wanted.map((each) => planReplacement(host, attachment, each)),
        planOtherFamilies(host.nfnetlink, attachment, wanted),
      ]),
    )
  } catch (error) {
    if (!refusedWith(error, "EEXIST", "EOPNOTSUPP")) throw error
    throw new Conflict(error.message, "another program has a table of that name; it has to be renamed or deleted")
  }
}

/** Plans to remove the attachment's rules of a family without mappings. */
function planOtherFamilies(
  nfnetlink: Conversation,
  attachment: Attachment,
  wanted: readonly PodMappings[],
): Iterable<Request> {
  const removal = emptyRemoval(nfnetlink)
  const { comment } = tagOf(attachment)
  for (const family of families) {
    if (wanted.some((each) => each.family === family)) continue
    const layout = layoutOf(family)
    const parts = split(listPodRules(nfnetlink, layout, comment), belongsTo(attachment))
    addToRemoval(removal, layout, parts)
    removal.chains.push(...findAnchors(nfnetlink, layout, parts[0]))
  }
  return changesOf(removal)
}

/** Plans the fast path: a container without rules, in a table that is as we left it. */
function planNew(host: NetworkStack, attachment: Attachment, wanted: PodMappings): Iterable<Request> {
  const layout = layoutOf(wanted.family)
  const isAsLeft = isIntact(host.nfnetlink, layout) && hasSentinels(host.nfnetlink, layout)
  if (!isAsLeft) return planReplacement(host, attachment, wanted)
  const tag = tagOf(attachment)
  return concatenated([claimPorts(layout, tag.comment, wanted.mappings), planPodRules(layout, tag, wanted, true)])
}

function planReplacement(host: NetworkStack, attachment: Attachment, wanted: PodMappings): Iterable<Request> {
  const layout = layoutOf(wanted.family)
  const { nfnetlink } = host
  refuseForeign(nfnetlink, layout)
  const tag = tagOf(attachment)
  const [removed, others] = split(listPodRules(nfnetlink, layout), belongsTo(attachment, [wanted.address]))
  const claimants = findGoneClaimants(host, attachment, wanted, others)
  const staying = others.filter((rule) => !claimants.has(rule))
  for (const rule of claimants) removed.push(rule)
  const siblings = staying.filter(({ comment }) => comment === tag.comment)
  return concatenated([
    planLayout(nfnetlink, layout, wanted.masquerade !== "none"),
    planConditionCopies(nfnetlink, layout, new Set(removed.map(({ handle }) => handle))),
    deleteRules(layout, removed),
    findAnchors(nfnetlink, layout, [tag, ...claimants, ...siblings]).map(deleteChain),
    rewriteClaims(layout, staying, tag.comment, wanted.mappings),
    planPodRules(layout, tag, wanted, siblings.length === 0),
  ])
}

/** Yields the requests of all parts, one after the other. */
export function* concatenated(parts: readonly Iterable<Request>[]): Generator<Request> {
  for (const part of parts) yield* part
}

type Parts = readonly [matching: PodRule[], others: PodRule[]]

function split(rules: readonly PodRule[], test: (rule: PodRule) => boolean): Parts {
  const [matching, others]: Parts = [[], []]
  for (const rule of rules) (test(rule) ? matching : others).push(rule)
  return [matching, others]
}

/**
 * Removes the attachment's rules, of either backend and whoever made them, in one transaction for both families, and returns them. It need
 * not be told the ports.
 */
export function removeHostports({ nfnetlink }: NetworkStack, attachment: Attachment): Removed {
  return remove(nfnetlink, (layout, removal) => {
    const { changes, chains, rules } = planPodRemoval(nfnetlink, layout.family, attachment)
    removal.changes.push(changes)
    removal.chains.push(...chains)
    for (const rule of rules) removal.rules.push(rule)
    planOwnRemoval(removal, layout, attachment)
  })
}

/** Plans to remove the attachment's rules by their anchor, or without one after reading all. */
function planOwnRemoval(removal: HostportRemoval, layout: Layout, attachment: Attachment): void {
  const { nfnetlink } = removal
  const tag = tagOf(attachment)
  const last = lastWriting(nfnetlink, layout)
  const anchor = readPodAnchor(nfnetlink, layout, tag)
  if (anchor) removal.chains.push(anchor.chain)
  else if (last !== undefined && !mayHaveRules(nfnetlink, layout, tag.comment)) return
  const own = anchoredAfter(last, anchor)?.map((rule) => toPodRule(rule))
  addToRemoval(
    removal,
    layout,
    own ? [own, []] : split(listPodRules(nfnetlink, layout, tag.comment), belongsTo(attachment)),
  )
}

/** Limits the transactions of GC: the rules of a thousand pods exceed the memory of a process. */
const MAX_RULES_PER_TRANSACTION = 20_000

/**
 * Removes the rules of the network's attachments that are not in `valid`, or, if `valid` is undefined, of those that are certainly gone.
 * Yields the rules of each transaction once they are removed. The Go plugin's rules do not name their network and stay.
 */
export function* collectHostports(
  host: NetworkStack,
  network: string,
  valid: readonly Attachment[] | undefined,
): Generator<readonly PodRule[]> {
  let removed: readonly PodRule[]
  do {
    removed = remove(host.nfnetlink, (layout, removal) => {
      const room = MAX_RULES_PER_TRANSACTION - removal.rules.length
      const isStale = valid && belongsToNone(network, valid)
      const stale = isStale
        ? listSome(host, layout, isStale, room)
        : findStale(listPodRules(host.nfnetlink, layout), host, network)
      planCollection(removal, layout, stale.slice(0, room), valid && isAnchorOfNone(network, valid))
    }).rules
    yield removed
  } while (removed.length >= MAX_RULES_PER_TRANSACTION)
}

function listSome(
  { nfnetlink }: NetworkStack,
  layout: Layout,
  test: (rule: FoundRule) => boolean,
  limit: number,
): PodRule[] {
  return readPodRules(nfnetlink, layout, (rule, kept) => (kept < limit && test(rule) ? toPodRule(rule) : undefined))
}

/** Plans to remove these rules of the table. */
export function planHostportsRemoval(nfnetlink: Conversation, layout: Layout, rules: PodRule[]): Iterable<Request> {
  const removal = emptyRemoval(nfnetlink)
  planCollection(removal, layout, rules)
  return changesOf(removal)
}

/** Plans to remove these rules, and anchors: theirs, and those that pass the test. */
function planCollection(
  removal: HostportRemoval,
  layout: Layout,
  stale: PodRule[],
  isStale?: (anchorKey: string) => boolean,
): void {
  const keys = anchorKeys(stale)
  const isOfStale = (key: string) => keys.has(key) || isStale?.(key) === true
  if (keys.size > 0 || isStale) removal.chains.push(...listAnchors(removal.nfnetlink, layout.table, isOfStale))
  if (stale.length === 0) return
  const handles = new Set(stale.map(({ handle }) => handle))
  const containers = new Set(stale.map(({ comment }) => comment))
  const isStaying = ({ handle, comment }: FoundRule) => containers.has(comment) && !handles.has(handle)
  const read = (rule: FoundRule) => (isStaying(rule) ? toPodRule(rule) : undefined)
  addToRemoval(removal, layout, [stale, readPodRules(removal.nfnetlink, layout, read)])
}

/** A plan of rules and chains to remove, with the changes that do it. */
interface HostportRemoval {
  readonly nfnetlink: Conversation
  readonly rules: PodRule[]
  readonly changes: Iterable<Request>[]
  readonly chains: Chain[]
}

function emptyRemoval(nfnetlink: Conversation): HostportRemoval {
  return { nfnetlink, rules: [], changes: [], chains: [] }
}

function changesOf({ changes, chains }: HostportRemoval): Iterable<Request> {
  return wholeOf({ changes: concatenated(changes), chains })
}

interface Removed {
  readonly rules: readonly PodRule[]
  /** The chains that stay, empty, because rules of others jump to them. */
  readonly held: readonly Held[]
}

function remove(nfnetlink: Conversation, plan: (layout: Layout, removal: HostportRemoval) => void): Removed {
  let removal = emptyRemoval(nfnetlink)
  const held = removeWithChains(nfnetlink, () => {
    removal = emptyRemoval(nfnetlink)
    for (const family of families) plan(layoutOf(family), removal)
    return { changes: concatenated(removal.changes), chains: removal.chains }
  })
  return { rules: removal.rules, held }
}

/** Adds rules to the removal; `staying` are the other rules of their containers. */
function addToRemoval({ nfnetlink, rules, changes }: HostportRemoval, layout: Layout, [removed, staying]: Parts): void {
  if (removed.length === 0) return
  for (const rule of removed) rules.push(rule)
  changes.push(deleteRules(layout, removed))
  if (areClaimsComplete(nfnetlink, layout)) changes.push(releasePorts(nfnetlink, layout, removed, staying))
}

function* deleteRules({ table }: Layout, rules: readonly PodRule[]): Generator<Request> {
  for (const { chain, handle } of rules) yield deleteRule({ table, name: chain }, handle)
}
