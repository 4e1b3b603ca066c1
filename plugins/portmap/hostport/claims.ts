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
 * have rules, and the ports that several containers have, each at an address of its own. The sets may list ports that are free (others deleted
 * rules) but never miss one in use, or in use by several. A hit is verified against the rules; a miss is final. This holds while isIntact() and
 * while each set has its sentinel, which is no pod's: whoever empties a set removes it.
 */

/** Port 0 belongs to no pod. */
const CLAIMS_SENTINEL = portKey(protocols.tcp, 0)

/** No container has this key: theirs are digests. Builds that did not list shared ports had one of another name. */
const CONTAINERS_SENTINEL = keyOf("cni-ts-shared")

/** Bounds the questions about ports, one by one: all rules are read sooner. */
const MOST_ASKED = 40

/** The entries of some rules in the two sets. */
interface Entries {
  /** Keys that portKey() makes, each with the comment of a rule. */
  readonly claims: Map<number, string | undefined>
  /** Those of them that several containers have. */
  readonly shared: Set<number>
  /** Comments of rules. */
  readonly containers: Set<string>
}

/**
 * Returns true if nobody has emptied or deleted one of the sets. To delete and make the sentinels within the transaction would say so, too, but
 * then the kernel keeps the next one waiting for some 10 ms.
 */
export function hasSentinels(nfnetlink: Conversation, { claims, containers }: Layout): boolean {
  return (
    hasElement(nfnetlink, claims, claimKey(CLAIMS_SENTINEL)) && hasElement(nfnetlink, containers, CONTAINERS_SENTINEL)
  )
}

/** Plans to claim the ports for a container without rules. The kernel answers EEXIST if one of them or the container is listed already. */
export function* claimPorts(layout: Layout, comment: string, mappings: readonly PortMapping[]): Generator<Request> {
  yield* createElements(layout.claims, mapped(new Set(mappings.map(claimOf)), claimKey))
  yield* createElements(layout.containers, [containerKey(comment)])
}

/** Plans to fill both sets anew, from the rules that stay and the new pod's ports. */
export function* rewriteClaims(
  layout: Layout,
  rules: readonly PodRule[],
  comment: string,
  mappings: readonly PortMapping[],
): Generator<Request> {
  const entries = entriesOf(rules)
  for (const mapping of mappings) addClaim(entries, claimOf(mapping), comment)
  entries.containers.add(comment)
  yield flushSet(layout.claims)
  yield* ensureElements(layout.claims, [claimKey(CLAIMS_SENTINEL)])
  yield* ensureElements(layout.claims, mapped(entries.claims.keys(), claimKey))
  yield flushSet(layout.containers)
  yield* ensureElements(layout.containers, [CONTAINERS_SENTINEL])
  yield* ensureElements(layout.containers, mapped(entries.shared, sharedKey))
  yield* ensureElements(layout.containers, mapped(entries.containers, containerKey))
}

/** Plans to remove the entries of removed rules, unless other rules need them. `staying` are the other rules of the same containers. */
export function releasePorts(
  nfnetlink: Conversation,
  layout: Layout,
  removed: readonly PodRule[],
  staying: readonly PodRule[],
): Iterable<Request> {
  const entries = entriesOf(removed)
  // Only ports of a single host address can be shared by containers: without one that is, no other container's rules are read.
  const ofAddress = removed.filter(({ reading }) => reading.to && reading.destination)
  const shared = [...entriesOf(ofAddress).claims.keys()]
  const areShared = mayBeShared(nfnetlink, layout, shared)
  const others = entriesOf(areShared ? listOthers(nfnetlink, layout, removed) : staying)
  for (const port of others.claims.keys()) entries.claims.delete(port)
  for (const { comment } of staying) if (comment !== undefined) entries.containers.delete(comment)
  for (const port of areShared ? shared : []) if (!others.shared.has(port)) entries.shared.add(port)
  return removeEntries(layout, entries)
}

/** Returns true if several containers may have one of the ports. False is reliable only while isIntact(). */
function mayBeShared(nfnetlink: Conversation, { containers }: Layout, ports: readonly number[]): boolean {
  if (ports.length === 0) return false
  return (
    ports.length > MOST_ASKED ||
    !hasElement(nfnetlink, containers, CONTAINERS_SENTINEL) ||
    ports.some((port) => hasElement(nfnetlink, containers, sharedKey(port)))
  )
}

function* removeEntries(layout: Layout, { claims, shared, containers }: Entries): Generator<Request> {
  yield* [layout.claims, layout.containers].map(ensureSet) // somebody may have deleted one
  yield* removeElements(layout.claims, mapped([...claims.keys()], claimKey))
  yield* removeElements(layout.containers, mapped(shared, sharedKey))
  yield* removeElements(layout.containers, mapped(containers, containerKey))
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
  const entries: Entries = { claims: new Map(), shared: new Set(), containers: new Set() }
  for (const { comment, reading } of rules) {
    const { protocol, destinationPort, to } = reading
    if (to && protocol !== undefined && destinationPort !== undefined)
      addClaim(entries, portKey(protocol, destinationPort), comment)
    if (comment !== undefined) entries.containers.add(comment)
  }
  return entries
}

function addClaim({ claims, shared }: Entries, port: number, comment: string | undefined): void {
  if (claims.has(port) && claims.get(port) !== comment) shared.add(port)
  claims.set(port, comment)
}

function claimOf({ protocol, hostPort }: PortMapping): number {
  return portKey(protocols[protocol], hostPort)
}

/** Encodes `tcp . 8080` for a set of type `inet_proto . inet_service`: each part is padded to four bytes. */
function claimKey(port: number): Uint8Array {
  return Uint8Array.of(port >> 16, 0, 0, 0, (port >> 8) & 0xff, port & 0xff, 0, 0)
}

/** Returns the keys of the entries, each computed only when it is iterated over. */
function mapped<Entry>(entries: Iterable<Entry>, keyOf: (entry: Entry) => Uint8Array): Iterable<Uint8Array> {
  return {
    *[Symbol.iterator]() {
      for (const entry of entries) yield keyOf(entry)
    },
  }
}

/** Returns the key of a port that several containers have. */
function sharedKey(port: number): Uint8Array {
  return keyOf(`shared-${port.toString(16)}`)
}

/** Returns the key of a container: fifteen digits of a digest. */
function containerKey(comment: string): Uint8Array {
  return keyOf(sha512Hex(comment).slice(0, 15))
}

/** Encodes a text of at most fifteen bytes for a set of type `ifname`. */
function keyOf(text: string): Uint8Array {
  return host.encode(text.padEnd(16, "\0"))
}
