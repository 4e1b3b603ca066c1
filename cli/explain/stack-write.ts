import { isLinkLocal } from "../../lib/ip/address.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { addAddress } from "../../lib/netlink/route/address.ts"
import { changeLink, type Link, type LinkChange, listLinks } from "../../lib/netlink/route/link.ts"
import { createPolicyRule } from "../../lib/netlink/route/rule.ts"
import { copyRoute } from "../../lib/netlink/route/whole-route.ts"
import { createAlike, createPair, createWire } from "./link-copy.ts"
import { writeRuleset } from "./ruleset-copy.ts"
import type { StackCopy } from "./stack-copy.ts"

/** The empty network namespace that a stack is made in again. */
export interface Target {
  readonly stack: NetworkStack
  /** The namespace of the other ends of wires, and the first letter of their names there. */
  readonly beyond: NetworkStack
  readonly letter: string
  /** The pod whose veths' other ends are here: the pairs are made with these. */
  readonly pod?: { readonly stack: NetworkStack; readonly links: readonly Link[] } | undefined
}

/** Makes everything again, links by the same numbers. Returns what cannot be made, in words. */
export function writeStack(copy: StackCopy, target: Target): string[] {
  const { rtnetlink, nfnetlink } = target.stack
  const lacks: string[] = []
  const attempt = (what: string, make: () => void) => {
    try {
      make()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      if (error.errno !== "EEXIST") lacks.push(`${what} is left out: ${error.message}`)
    }
  }
  writeLinks(copy, target, attempt)
  for (const { prefix, index } of copy.addresses) {
    if (isLinkLocal(prefix.address)) continue
    const wanted = { index, link: nameOf(copy, index), prefix, withoutRoute: true }
    attempt(`address ${formatPrefix(prefix)}`, () =>
      addAddress(rtnetlink, { ...wanted, skipDetection: prefix.address.family === 6 }),
    )
  }
  const direct = copy.routes.filter(({ hops }) => hops.every(({ gateway }) => gateway === undefined))
  for (const route of [...direct, ...copy.routes.filter((route) => !direct.includes(route))]) {
    attempt(`route ${formatPrefix(route.dst)}`, () => copyRoute(rtnetlink, route, route.table))
  }
  for (const { source, table, plain } of copy.rules) {
    if (source && plain)
      attempt(`rule ${formatPrefix(source)}`, () => createPolicyRule(rtnetlink, source.address, table))
  }
  return [...lacks, ...writeRuleset(nfnetlink, copy.ruleset)]
}

function nameOf({ links }: StackCopy, index: number): string {
  return links.find((link) => link.index === index)?.name ?? String(index)
}

type Attempt = (what: string, make: () => void) => void

/** The index of `lo` in every namespace. */
const LOOPBACK = 1

function writeLinks({ links, sysctls }: StackCopy, target: Target, attempt: Attempt): void {
  const { stack, beyond } = target
  const { rtnetlink } = stack
  const there = new Set(listLinks(rtnetlink).links.map(({ index }) => index))
  for (const link of links) if (!there.has(link.index)) attempt(`link ${link.name}`, () => createLink(link, target))
  for (const link of links) {
    const { index, name, master } = link
    if (index === LOOPBACK) continue
    attempt(`a setting of link ${name}`, () => changeLink(rtnetlink, index, name, settingsOf(link)))
    const bridge = links.find((other) => other.index === master && ["bridge", "vrf"].includes(other.kind))
    if (bridge) attempt(`link ${name} in ${bridge.name}`, () => changeLink(rtnetlink, index, name, { master }))
    if (link.port) attempt(`a setting of port ${name}`, () => changeLink(rtnetlink, index, name, { ...link.port }))
  }
  stack.withSysctls((own) => {
    for (const [name, value] of sysctls) own.trySysctl(name, value)
  })
  for (const { index, name } of listLinks(beyond.rtnetlink).links)
    changeLink(beyond.rtnetlink, index, name, { up: true })
  for (const { index, name, up } of links) {
    if (up) attempt(`link ${name} up`, () => changeLink(rtnetlink, index, name, { up }))
  }
}

function settingsOf({ alias, promiscuous, allMulticast, transmitQueueLength }: Link): LinkChange {
  return { ...(alias && { alias }), promiscuous, allMulticast, transmitQueueLength }
}

/** Makes a link of the same kind, or else a veth that ends beyond: it carries what plugins put on it. */
function createLink(link: Link, { stack, beyond, letter, pod }: Target): void {
  const { rtnetlink } = stack
  const end = pod?.links.find(({ kind, index, peer }) => kind === "veth" && index === link.peer && peer === link.index)
  if (end && pod && link.kind === "veth") {
    createPair(rtnetlink, link, end, pod.stack.namespace?.fd)
    return
  }
  try {
    if (createAlike(rtnetlink, link)) return
  } catch (error) {
    if (!(error instanceof KernelError) || link.kind === "bridge") throw error
  }
  createWire(rtnetlink, link, { name: `${letter}${link.index}`, namespace: beyond.namespace?.fd })
}
