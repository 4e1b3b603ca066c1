import type { Conversation, Request } from "../../netlink/conversation.ts"
import {
  createElements,
  ensureElements,
  flushSet,
  hasElement,
  type NamedSet,
  removeElements,
} from "../../netlink/netfilter/set.ts"
import { sha512Hex } from "../../sys/digest.ts"
import { host } from "../../sys/host.ts"
import { type PortMapping, protocols } from "../port-mapping.ts"
import type { Layout } from "./layout.ts"
import { listPodRules, type PodRule } from "./rule-list.ts"

/*
 * Two sets in the table save ADD and DEL from reading every pod's rules: `claims` has the ports, `containers` the containers that rules
 * are there for. They hold too much where somebody else deleted rules, never too little while isIntact(). What is found in them is
 * therefore looked up among the rules; what is not found is not there.
 */

/** As many elements as one message has room for, and more. */
const PER_MESSAGE = 1000

/** What a set has of the rules: an element each, by its text. */
type Elements = ReadonlyMap<string, Uint8Array>

/** Changes that enter a pod nobody knows yet. EEXIST where one of its ports, or the container itself, is entered already. */
export function enterNew({ claims, containers }: Layout, comment: string, mappings: readonly PortMapping[]): Request[] {
  const keys = new Map<string, Uint8Array>()
  for (const { protocol, hostPort } of mappings) addClaim(keys, protocols[protocol], hostPort)
  return [createElements(claims, [...keys.values()]), createElements(containers, [containerKey(comment)])]
}

/** Changes after which the sets have what these rules and the new pod's say, and nothing else. */
export function rebuild(
  layout: Layout,
  rules: readonly PodRule[],
  comment: string,
  mappings: readonly PortMapping[],
): Request[] {
  const { claims, containers } = elementsOf(rules)
  for (const { protocol, hostPort } of mappings) addClaim(claims, protocols[protocol], hostPort)
  addContainer(containers, comment)
  return [...refill(layout.claims, claims), ...refill(layout.containers, containers)]
}

function refill(set: NamedSet, elements: Elements): Request[] {
  const changes = [flushSet(set)]
  const keys = [...elements.values()]
  for (let at = 0; at < keys.length; at += PER_MESSAGE) {
    changes.push(ensureElements(set, keys.slice(at, at + PER_MESSAGE)))
  }
  return changes
}

/** Changes that take out what the rules that go had entered, but nothing of others. `staying` are the rest of their containers' rules. */
export function leave(
  netfilter: Conversation,
  layout: Layout,
  gone: readonly PodRule[],
  staying: readonly PodRule[],
): Request[] {
  const out = elementsOf(gone)
  // Others can have the same port only where each is for an address of its own: else nobody else's rules are read.
  const isShared = gone.some(({ reading }) => reading.to && reading.destination)
  const handles = new Set(gone.map(({ handle }) => handle))
  const others = isShared ? listPodRules(netfilter, layout).filter(({ handle }) => !handles.has(handle)) : []
  const { claims } = elementsOf(others)
  const containers = new Set(staying.map(({ comment }) => comment))
  for (const comment of out.containers.keys()) if (containers.has(comment)) out.containers.delete(comment)
  for (const port of claims.keys()) out.claims.delete(port)
  return [
    ...removeElements(layout.claims, [...out.claims.values()]),
    ...removeElements(layout.containers, [...out.containers.values()]),
  ]
}

/** Whether there may be rules for this container. Only isIntact() makes a "no" reliable. */
export function isEntered(netfilter: Conversation, { containers }: Layout, comment: string): boolean {
  return hasElement(netfilter, containers, containerKey(comment))
}

function elementsOf(rules: readonly PodRule[]): {
  claims: Map<string, Uint8Array>
  containers: Map<string, Uint8Array>
} {
  const claims = new Map<string, Uint8Array>()
  const containers = new Map<string, Uint8Array>()
  for (const rule of rules) {
    const { protocol, destinationPort, to } = rule.reading
    if (to && protocol !== undefined && destinationPort !== undefined) addClaim(claims, protocol, destinationPort)
    if (rule.comment !== undefined) addContainer(containers, rule.comment)
  }
  return { claims, containers }
}

/** `tcp . 8080`, as a set of type `inet_proto . inet_service` holds it: each part padded to four bytes. */
function addClaim(elements: Map<string, Uint8Array>, protocol: number, port: number): void {
  elements.set(`${protocol} ${port}`, Uint8Array.of(protocol, 0, 0, 0, port >> 8, port & 0xff, 0, 0))
}

function addContainer(elements: Map<string, Uint8Array>, comment: string): void {
  if (!elements.has(comment)) elements.set(comment, containerKey(comment))
}

/** Fifteen digits of a digest, and the NUL of an interface's name. */
function containerKey(comment: string): Uint8Array {
  return host.encode(`${sha512Hex(comment).slice(0, 15)}\0`)
}
