import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import {
  createElements,
  deleteElements,
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
 * Two sets in the table save ADD and DEL from reading every pod's rules: `claims` has the ports, `containers` the containers that rules
 * are there for. They hold too much where somebody else deleted rules, never too little while isIntact() and as long as they hold what no
 * pod enters: whoever emptied a set, or deleted it, took that too. What is found in them is therefore looked up among the rules; what is
 * not found is not there.
 */

/** Port 0 is no pod's. */
const WHOLE_CLAIMS = portKey(protocols.tcp, 0)

/** No digest. */
const WHOLE_CONTAINERS = host.encode("cni-ts".padEnd(16, "\0"))

/** What the sets have of some rules. */
interface Entries {
  /** As portKey() has them. */
  readonly claims: Set<number>
  /** Comments. */
  readonly containers: Set<string>
}

/**
 * Changes that enter a pod nobody knows yet. EEXIST where one of its ports, or the container itself, is entered already, ENOENT where a set
 * has been emptied or deleted.
 */
export function* enterNew(
  { claims, containers }: Layout,
  comment: string,
  mappings: readonly PortMapping[],
): Generator<Request> {
  const ports = claimsOf(mappings).add(WHOLE_CLAIMS)
  yield* deleteElements(claims, claimKeys(new Set([WHOLE_CLAIMS])))
  yield* createElements(claims, claimKeys(ports))
  yield* deleteElements(containers, [WHOLE_CONTAINERS])
  yield* createElements(containers, [WHOLE_CONTAINERS, containerKey(comment)])
}

/** Changes after which the sets have what these rules and the new pod's say, and nothing else. */
export function* rebuild(
  layout: Layout,
  rules: readonly PodRule[],
  comment: string,
  mappings: readonly PortMapping[],
): Generator<Request> {
  const { claims, containers } = entriesOf(rules)
  for (const claim of claimsOf(mappings).add(WHOLE_CLAIMS)) claims.add(claim)
  containers.add(comment)
  yield flushSet(layout.claims)
  yield* ensureElements(layout.claims, claimKeys(claims))
  yield flushSet(layout.containers)
  yield* ensureElements(layout.containers, [WHOLE_CONTAINERS])
  yield* ensureElements(layout.containers, containerKeys(containers))
}

/** Changes that take out what the rules that go had entered, but nothing of others. `staying` are the rest of their containers' rules. */
export function leave(
  nfnetlink: Conversation,
  layout: Layout,
  gone: readonly PodRule[],
  staying: readonly PodRule[],
): Iterable<Request> {
  const out = entriesOf(gone)
  // Other containers can have the same port only where each is for an address of its own: else nobody else's rules are read.
  const isShared = gone.some(({ reading }) => reading.to && reading.destination)
  const others = isShared ? listOthers(nfnetlink, layout, gone) : staying
  for (const port of entriesOf(others).claims) out.claims.delete(port)
  for (const { comment } of staying) if (comment !== undefined) out.containers.delete(comment)
  return takeOut(layout, out)
}

function* takeOut(layout: Layout, { claims, containers }: Entries): Generator<Request> {
  yield* [layout.claims, layout.containers].map(ensureSet) // somebody may have deleted one
  yield* removeElements(layout.claims, claimKeys(claims))
  yield* removeElements(layout.containers, containerKeys(containers))
}

function listOthers(nfnetlink: Conversation, layout: Layout, gone: readonly PodRule[]): PodRule[] {
  const handles = new Set(gone.map(({ handle }) => handle))
  return listPodRules(nfnetlink, layout).filter(({ handle }) => !handles.has(handle))
}

/** Tells if there may be rules for this container. Only isIntact() makes a "no" reliable. */
export function isEntered(nfnetlink: Conversation, { containers }: Layout, comment: string): boolean {
  return (
    hasElement(nfnetlink, containers, containerKey(comment)) || !hasElement(nfnetlink, containers, WHOLE_CONTAINERS)
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

/** `tcp . 8080`, as a set of type `inet_proto . inet_service` holds it: each part padded to four bytes. */
function claimKeys(claims: ReadonlySet<number>): Iterable<Uint8Array> {
  return mapped(claims, (entry) => Uint8Array.of(entry >> 16, 0, 0, 0, (entry >> 8) & 0xff, entry & 0xff, 0, 0))
}

function containerKeys(comments: ReadonlySet<string>): Iterable<Uint8Array> {
  return mapped(comments, containerKey)
}

/** The key of each entry, made when it is asked for, as often as it is. */
function mapped<Entry>(entries: ReadonlySet<Entry>, keyOf: (entry: Entry) => Uint8Array): Iterable<Uint8Array> {
  return {
    *[Symbol.iterator]() {
      for (const entry of entries) yield keyOf(entry)
    },
  }
}

/** Fifteen digits of a digest, and the NUL of an interface's name. */
function containerKey(comment: string): Uint8Array {
  return host.encode(`${sha512Hex(comment).slice(0, 15)}\0`)
}
