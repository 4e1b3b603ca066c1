import type { Attachment } from "../../../lib/cni/attachment.ts"
import { families } from "../../../lib/ip/address.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import { type Held, removeWithChains } from "../../../lib/net/foreign-jumps.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { refusedWith } from "../../../lib/netlink/kernel-error.ts"
import { appendRule, deleteRule, type FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { findGoneClaimants } from "./claimants.ts"
import { planInheritance } from "./inherited.ts"
import { planIptablesRemoval } from "./iptables-hostport.ts"
import { isIndexed, isIntact, type Layout, layoutOf, makeLayout, refuseForeign } from "./layout.ts"
import { markOf, type RuleMark } from "./marks.ts"
import { mappingRule, masqueradeRules, type PodPorts } from "./pod-rules.ts"
import { enterNew, isEntered, leave, rebuild } from "./registry.ts"
import { briefly, listPodRules, ownedBy, type PodRule, readPodRules } from "./rule-list.ts"
import { findGone, isOutside } from "./stale.ts"

/**
 * Leads host ports to a pod, in one transaction for both families; whatever the attachment had before is replaced. Throws Conflict where
 * a port is another pod's or a table another program's.
 */
export function ensureHostports(host: NetworkStack, attachment: Attachment, pods: readonly PodPorts[]): void {
  try {
    transact(host.nfnetlink, () => inTurn(pods.map((pod) => planNew(host, attachment, pod))))
  } catch (error) {
    // A port or the container is entered already, or part of the table is gone: what to do, all the rules say.
    if (!refusedWith(error, "EEXIST", "ENOENT")) throw error
    replaceHostports(host, attachment, pods)
  }
}

function replaceHostports(host: NetworkStack, attachment: Attachment, pods: readonly PodPorts[]): void {
  try {
    transact(host.nfnetlink, () =>
      inTurn([
        ...pods.map((pod) => planWhole(host, attachment, pod)),
        planOtherFamilies(host.nfnetlink, attachment, pods),
      ]),
    )
  } catch (error) {
    if (!refusedWith(error, "EEXIST", "EOPNOTSUPP")) throw error
    throw new Conflict(error.message, "another program has a table of that name; it has to be renamed or deleted")
  }
}

/** The attachment has no rules of a family that it wants none of now. */
function planOtherFamilies(
  nfnetlink: Conversation,
  attachment: Attachment,
  pods: readonly PodPorts[],
): Iterable<Request> {
  const removal = nothing(nfnetlink)
  const { comment } = markOf(attachment)
  for (const family of families) {
    if (pods.some((pod) => pod.family === family)) continue
    const layout = layoutOf(family)
    planRemoval(removal, layout, split(listPodRules(nfnetlink, layout, comment), ownedBy(attachment)))
  }
  return inTurn(removal.changes)
}

/** For a pod that nobody knows yet, in a table that is as we left it. */
function planNew(host: NetworkStack, attachment: Attachment, pod: PodPorts): Iterable<Request> {
  const layout = layoutOf(pod.family)
  if (!isIntact(host.nfnetlink, layout)) return planWhole(host, attachment, pod)
  const mark = markOf(attachment)
  return inTurn([enterNew(layout, mark.comment, pod.mappings), appendRules(layout, mark, pod)])
}

function planWhole(host: NetworkStack, attachment: Attachment, pod: PodPorts): Iterable<Request> {
  const layout = layoutOf(pod.family)
  refuseForeign(host.nfnetlink, layout)
  const mark = markOf(attachment)
  const isOwn = ownedBy(attachment, [pod.address])
  const [gone, others] = split(listPodRules(host.nfnetlink, layout), isOwn)
  const dead = findGoneClaimants(host, attachment, pod, others)
  const staying = others.filter((rule) => !dead.has(rule))
  for (const rule of dead) gone.push(rule)
  return inTurn([
    makeLayout(layout, pod.masquerade !== "none"),
    planInheritance(host.nfnetlink, layout, new Set(gone.map(({ handle }) => handle))),
    deleteRules(layout, gone),
    rebuild(layout, staying, mark.comment, pod.mappings),
    appendRules(layout, mark, pod),
  ])
}

function* appendRules({ hostports, masquerading }: Layout, mark: RuleMark, pod: PodPorts): Generator<Request> {
  for (const mapping of pod.mappings) yield appendRule(hostports, { expressions: mappingRule(pod, mapping), ...mark })
  for (const expressions of masqueradeRules(pod)) yield appendRule(masquerading, { expressions, ...mark })
}

/** All changes, part by part. */
function* inTurn(parts: readonly Iterable<Request>[]): Generator<Request> {
  for (const part of parts) yield* part
}

type Parts = readonly [those: PodRule[], others: PodRule[]]

/** Those of which `test` is true, and the others. */
function split(rules: readonly PodRule[], test: (rule: PodRule) => boolean): Parts {
  const [those, others]: Parts = [[], []]
  for (const rule of rules) (test(rule) ? those : others).push(rule)
  return [those, others]
}

/**
 * Removes the attachment's rules, whoever made them, in one transaction for both families, and returns those of nftables. Needs nothing of
 * what ADD was told. What the Go plugin's iptables backend left in iptables-nft is removed too.
 */
export function removeHostports({ nfnetlink }: NetworkStack, attachment: Attachment): Removed {
  const { comment } = markOf(attachment)
  return remove(nfnetlink, (layout, removal) => {
    const { changes, chains } = planIptablesRemoval(nfnetlink, layout, attachment)
    removal.changes.push(changes)
    removal.chains.push(...chains)
    if (isIndexed(nfnetlink, layout) && !isEntered(nfnetlink, layout, comment)) return
    planRemoval(removal, layout, split(listPodRules(nfnetlink, layout, comment), ownedBy(attachment)))
  })
}

/** Rules that GC removes in one transaction: what there is of a thousand pods has no room in a process all at once. */
const AT_ONCE = 20_000

/**
 * Removes the rules of this network's attachments that are not `valid`, or if that is not known of those that are certainly gone, and returns
 * them, some thousands at a time, each lot as soon as it is removed. The Go plugin's do not name their network.
 */
export function* collectHostports(
  host: NetworkStack,
  network: string,
  valid: readonly Attachment[] | undefined,
): Generator<readonly PodRule[]> {
  let removed: readonly PodRule[]
  do {
    removed = remove(host.nfnetlink, (layout, removal) => {
      const room = AT_ONCE - removal.rules.length
      const isStale = valid && isOutside(network, valid)
      const stale = isStale
        ? listSome(host, layout, isStale, room)
        : findGone(listPodRules(host.nfnetlink, layout), host, network)
      planCollection(removal, layout, stale.slice(0, room))
    }).rules
    yield removed
  } while (removed.length >= AT_ONCE)
}

function listSome(
  { nfnetlink }: NetworkStack,
  layout: Layout,
  test: (rule: FoundRule) => boolean,
  most: number,
): PodRule[] {
  return readPodRules(nfnetlink, layout, (rule, kept) => (kept < most && test(rule) ? briefly(rule) : undefined))
}

function planCollection(removal: Removal, layout: Layout, gone: PodRule[]): void {
  if (gone.length === 0) return
  const handles = new Set(gone.map(({ handle }) => handle))
  const containers = new Set(gone.map(({ comment }) => comment))
  const isRest = ({ handle, comment }: FoundRule) => containers.has(comment) && !handles.has(handle)
  const read = (rule: FoundRule) => (isRest(rule) ? briefly(rule) : undefined)
  planRemoval(removal, layout, [gone, readPodRules(removal.nfnetlink, layout, read)])
}

/** What is to be removed, and the changes that do it. */
interface Removal {
  readonly nfnetlink: Conversation
  readonly rules: PodRule[]
  readonly changes: Iterable<Request>[]
  readonly chains: Chain[]
}

function nothing(nfnetlink: Conversation): Removal {
  return { nfnetlink, rules: [], changes: [], chains: [] }
}

/** What is removed. */
interface Removed {
  readonly rules: readonly PodRule[]
  /** The chains that stay, empty, since rules of others lead there. */
  readonly held: readonly Held[]
}

function remove(nfnetlink: Conversation, plan: (layout: Layout, removal: Removal) => void): Removed {
  let removal = nothing(nfnetlink)
  const held = removeWithChains(nfnetlink, () => {
    removal = nothing(nfnetlink)
    for (const family of families) plan(layoutOf(family), removal)
    return { changes: inTurn(removal.changes), chains: removal.chains }
  })
  return { rules: removal.rules, held }
}

/** Adds the rules that go to the removal; `staying` are the others of their containers. */
function planRemoval({ nfnetlink, rules, changes }: Removal, layout: Layout, [gone, staying]: Parts): void {
  if (gone.length === 0) return
  for (const rule of gone) rules.push(rule)
  changes.push(deleteRules(layout, gone))
  if (isIndexed(nfnetlink, layout)) changes.push(leave(nfnetlink, layout, gone, staying))
}

function* deleteRules({ table }: Layout, rules: readonly PodRule[]): Generator<Request> {
  for (const { chain, handle } of rules) yield deleteRule({ table, name: chain }, handle)
}
