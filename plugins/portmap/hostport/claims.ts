import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import {
  createElements,
  ensureElements,
  ensureSet,
  flushSet,
  hasElement,
  removeElements,
} from "../../../lib/netlink/netfilter/set.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import { host } from "../../../lib/sys/host.ts"
import { type PortMapping, portKey, protocols } from "../port-mapping.ts"
import type { Layout } from "./layout.ts"
import { listPodRules, type PodRule } from "./rule-list.ts"

/*
 * Two sets in the table save ADD and DEL from reading every pod's rules: `claims` lists the ports in use, `containers` the containers that
 * have rules. The sets may list ports that are free (others deleted rules) but never miss one in use. A hit is verified against the rules;
 * a miss is final. This holds while isIntact() and while each set has its sentinel, which is no pod's: whoever empties a set removes it.
 */

/** Port 0 belongs to no pod. */
const CLAIMS_SENTINEL = portKey(protocols.tcp, 0)

/** No container has this key: theirs are digests. */
const CONTAINERS_SENTINEL = host.encode("cni-ts".padEnd(16, "\0"))

/** The entries of some rules in the two sets. */
interface Entries {
  /** Keys that portKey() makes. */
  readonly claims: Set<number>
  /** Comments of rules. */
  readonly containers: Set<string>
}

/**
 * Returns true if nobody has emptied or deleted one of the sets. To delete and make the sentinels within the transaction would say so, too, but
 * then the kernel keeps the next one waiting for some 10 ms.
 */
export function hasSentinels(nfnetlink: Conversation, { claims, containers }: Layout): boolean {
  const [claim] = claimKeys(new Set([CLAIMS_SENTINEL]))
  return (
    claim !== undefined &&
    hasElement(nfnetlink, claims, claim) &&
    hasElement(nfnetlink, containers, CONTAINERS_SENTINEL)
  )
}

/** Plans to claim the ports for a container without rules. The kernel answers EEXIST if one of them or the container is listed already. */
export function* claimPorts(layout: Layout, comment: string, mappings: readonly PortMapping[]): Generator<Request> {
  yield* createElements(layout.claims, claimKeys(claimsOf(mappings)))
  yield* createElements(layout.containers, [containerKey(comment)])
}

/** Plans to fill both sets anew, from the rules that stay and the new pod's ports. */
export function* rewriteClaims(
  layout: Layout,
  rules: readonly PodRule[],
  comment: string,
  mappings: readonly PortMapping[],
): Generator<Request> {
  const { claims, containers } = entriesOf(rules)
  for (const claim of claimsOf(mappings).add(CLAIMS_SENTINEL)) claims.add(claim)
  containers.add(comment)
  yield flushSet(layout.claims)
  yield* ensureElements(layout.claims, claimKeys(claims))
  yield flushSet(layout.containers)
  yield* ensureElements(layout.containers, [CONTAINERS_SENTINEL])
  yield* ensureElements(layout.containers, containerKeys(containers))
}

/** Plans to remove the entries of removed rules, unless other rules need them. `staying` are the other rules of the same containers. */
export function releasePorts(
  nfnetlink: Conversation,
  layout: Layout,
  removed: readonly PodRule[],
  staying: readonly PodRule[],
): Iterable<Request> {
  const entries = entriesOf(removed)
  // Only ports of a single host address can be shared by containers: without one, no other container's rules are read.
  const mayBeShared = removed.some(({ reading }) => reading.to && reading.destination)
  const others = mayBeShared ? listOthers(nfnetlink, layout, removed) : staying
  for (const port of entriesOf(others).claims) entries.claims.delete(port)
  for (const { comment } of staying) if (comment !== undefined) entries.containers.delete(comment)
  return removeEntries(layout, entries)
}

function* removeEntries(layout: Layout, { claims, containers }: Entries): Generator<Request> {
  yield* [layout.claims, layout.containers].map(ensureSet) // somebody may have deleted one
  yield* removeElements(layout.claims, claimKeys(claims))
  yield* removeElements(layout.containers, containerKeys(containers))
}

function listOthers(nfnetlink: Conversation, layout: Layout, removed: readonly PodRule[]): PodRule[] {
  const handles = new Set(removed.map(({ handle }) => handle))
  return listPodRules(nfnetlink, layout).filter(({ handle }) => !handles.has(handle))
}

/** Returns true if there may be rules for this container. False is reliable only while isIntact(). */
export function mayHaveRules(nfnetlink: Conversation, { containers }: Layout, comment: string): boolean {
  return (
    hasElement(nfnetlink, containers, containerKey(comment)) || !hasElement(nfnetlink, containers, CONTAINERS_SENTINEL)
  )
}

function entriesOf(rules: readonly PodRule[]): Entries {
  const entries: Entries = { claims: new Set(), containers: new Set() }
  for (const { comment, reading } of rules) {
    const { protocol, destinationPort, to } = reading
    if (to && protocol !== undefined && destinationPort !== undefined)
      entries.claims.add(portKey(protocol, destinationPort))
    if (comment !== undefined) entries.containers.add(comment)
  }
  return entries
}

function claimsOf(mappings: readonly PortMapping[]): Set<number> {
  const claims = new Set<number>()
  for (const { protocol, hostPort } of mappings) claims.add(portKey(protocols[protocol], hostPort))
  return claims
}

/** Encodes `tcp . 8080` for a set of type `inet_proto . inet_service`: each part is padded to four bytes. */
function claimKeys(claims: ReadonlySet<number>): Iterable<Uint8Array> {
  return mapped(claims, (entry) => Uint8Array.of(entry >> 16, 0, 0, 0, (entry >> 8) & 0xff, entry & 0xff, 0, 0))
}

function containerKeys(comments: ReadonlySet<string>): Iterable<Uint8Array> {
  return mapped(comments, containerKey)
}

/** Returns the keys of the entries, each computed only when it is iterated over. */
function mapped<Entry>(entries: ReadonlySet<Entry>, keyOf: (entry: Entry) => Uint8Array): Iterable<Uint8Array> {
  return {
    *[Symbol.iterator]() {
      for (const entry of entries) yield keyOf(entry)
    },
  }
}

/** Returns fifteen digits of a digest and a NUL: the set's type is `ifname`. */
function containerKey(comment: string): Uint8Array {
  return host.encode(`${sha512Hex(comment).slice(0, 15)}\0`)
}
