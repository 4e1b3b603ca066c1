import { isHostEnd } from "../../lib/attachment/host-end.ts"
import { hostVethName, isHostVethName, isHostVethNameIn } from "../../lib/attachment/names.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Address } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { listUplinks } from "../../lib/net/uplink.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { readRule } from "../../lib/netlink/netfilter/read-rule.ts"
import { type FoundRule, hasRule } from "../../lib/netlink/netfilter/rule.ts"
import { type Link, listLinks, readLink } from "../../lib/netlink/route/link.ts"
import { lookupRoute } from "../../lib/netlink/route/route.ts"
import { hasRouteLocalnet } from "../../lib/netlink/route/route-localnet.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { layoutOf } from "./hostport/layout.ts"
import { someReachedByLocalhost } from "./iptables/localhost.ts"

/*
 * With route_localnet on a link the node's programs reach the pod behind it by 127.0.0.1, but whoever sends to the node through that link
 * reaches what listens on the node's 127.0.0.1 (CVE-2020-8558). So it is set only on links to pods, and cleared with the last pod that
 * needs it.
 */

/** An attachment with host ports, and the path of its network namespace. */
export interface MappedPod {
  readonly attachment: Attachment
  readonly netns: string
}

/**
 * Plans to let packets from 127.0.0.1 leave for the pod's address: returns the step that does so, or undefined if no link leads there.
 * Changes nothing, but throws SystemError if the step would. Calls `refused` with the name of a link that does not lead to this pod.
 */
export function planRouteLocalnet(
  host: NetworkStack,
  pod: MappedPod,
  address: Address,
  refused: (link: string) => void,
): (() => void) | undefined {
  const { rtnetlink } = host
  const index = lookupRoute(rtnetlink, address)?.index
  if (index === undefined) return undefined
  if (!hasRouteLocalnet(rtnetlink, index)) {
    const link = readLink(rtnetlink, index)
    if (!link) return undefined
    if (!leadsToPods(host, link, pod)) {
      refused(link.name)
      return undefined
    }
    host.writeSysctl(settingOf(link), "") // opens it for writing, no more
  }
  // The rules exist by now. A DEL that did not see them may have cleared the setting since the plan.
  return () => {
    const link = hasRouteLocalnet(rtnetlink, index) ? undefined : readLink(rtnetlink, index)
    if (link && leadsToPods(host, link, pod)) host.writeSysctl(settingOf(link), "1")
  }
}

/**
 * Clears route_localnet on the links to these addresses of pods without rules, unless another pod's rules need it there. A link that does
 * not certainly lead to pods alone stays as it is: others may have set it. `pod` is the one that had the addresses, if its link may be there;
 * without an address, as after a DEL that failed when the rules were gone, it is its link that counts.
 */
export function closeRouteLocalnet(host: NetworkStack, addresses: readonly Address[], pod?: MappedPod): void {
  closeUnneeded(host, addresses.length === 0 && pod ? linksOf(host, pod) : linksTo(host, addresses), pod)
}

/** Clears route_localnet on the network's bridges if no pod needs it there: a DEL that was killed may have removed the rules and no more. */
export function collectRouteLocalnet(host: NetworkStack, network: string): void {
  const { links } = listLinks(host.rtnetlink)
  const ports = links.filter(({ kind, name }) => kind === "veth" && isHostVethNameIn(name, network))
  const bridges = new Set(ports.map(({ master }) => master))
  closeUnneeded(
    host,
    links.filter(({ index }) => bridges.has(index)),
  )
}

function closeUnneeded(host: NetworkStack, links: readonly Link[], pod?: MappedPod): void {
  for (const link of links) {
    if (!hasRouteLocalnet(host.rtnetlink, link.index) || isNeeded(host, link) || !ledToPods(host, link, pod)) continue
    host.trySysctl(settingOf(link), host.readSysctl("net/ipv4/conf/default/route_localnet") ?? "0")
    if (isNeeded(host, link)) host.trySysctl(settingOf(link), "1") // an ADD meanwhile found it set
  }
}

/** Returns true if a pod behind the link has rules by which the node's programs reach it from 127.0.0.1, or if that cannot be read. */
function isNeeded({ rtnetlink, nfnetlink }: NetworkStack, { index }: Link): boolean {
  try {
    const isBehind = (pod: Address) => lookupRoute(rtnetlink, pod)?.index === index
    const masquerades = (rule: FoundRule) => {
      const pod = readRule(rule.expressions()).destination
      return pod !== undefined && isBehind(pod)
    }
    return hasRule(nfnetlink, layoutOf(4).masquerading, masquerades) || someReachedByLocalhost(nfnetlink, isBehind)
  } catch (error) {
    if (refusedWith(error, "ERESTART")) return true // the rules change all the time
    throw error
  }
}

/** Returns the host end of the pod's veth pair, if it has one of ours, and the bridge that this is a port of. */
function linksOf({ rtnetlink }: NetworkStack, { attachment }: MappedPod): Link[] {
  const end = readLink(rtnetlink, hostVethName(attachment))
  const bridge = end?.master ? readLink(rtnetlink, end.master) : undefined
  return [end, bridge].filter((link) => link !== undefined)
}

/** Returns the links that lead to the addresses, each once. */
function linksTo({ rtnetlink }: NetworkStack, addresses: readonly Address[]): Link[] {
  const indexes = addresses
    .map((address) => lookupRoute(rtnetlink, address)?.index)
    .filter((index) => index !== undefined)
  return [...new Set(indexes)].map((index) => readLink(rtnetlink, index)).filter((link) => link !== undefined)
}

function settingOf({ name }: Link): string {
  return `net/ipv4/conf/${name}/route_localnet`
}

/**
 * Returns true if the link leads to this pod, and to nothing but pods: it is the host end of the pod's veth pair; or a bridge with that
 * host end among its ports, which are all veths, and not the node's uplink; or the node's own interface in a VLAN of such a bridge.
 */
function leadsToPods(host: NetworkStack, link: Link, { attachment, netns }: MappedPod): boolean {
  using namespace = openIfPresent(netns)
  const isOfPod = (candidate: Link) => isEndOf(host, candidate, attachment, namespace?.fd)
  if (isOfPod(link)) return true
  return portsToPods(host, link)?.some(isOfPod) ?? false
}

/** As leadsToPods(), of pods that may be gone: their bridge has ports of other pods of ours by now, or none. */
function ledToPods(host: NetworkStack, link: Link, pod: MappedPod | undefined): boolean {
  if (pod && leadsToPods(host, link, pod)) return true
  const ports = portsToPods(host, link)
  return ports !== undefined && (ports.length === 0 || ports.some(({ name }) => isHostVethName(name)))
}

/** Returns the ports of the bridge that the link is or that its peer is a port of, if all are veths and it is not the node's uplink. */
function portsToPods(host: NetworkStack, link: Link): readonly Link[] | undefined {
  const { rtnetlink } = host
  const bridge = bridgeBehind(host, link)
  if (!bridge || listUplinks(rtnetlink, [4]).has(link.index)) return undefined
  const { links: ports, partial } = listLinks(rtnetlink, { master: bridge })
  return !partial && ports.every(({ kind }) => kind === "veth") ? ports : undefined
}

/** Returns the index of the bridge that the link is, or that its peer is a port of; 0 if there is none. */
function bridgeBehind({ rtnetlink }: NetworkStack, { kind, index, peer, peerNamespace }: Link): number {
  if (kind === "bridge") return index
  return kind === "veth" && peerNamespace === undefined ? (readLink(rtnetlink, peer)?.master ?? 0) : 0
}

function isEndOf(host: NetworkStack, link: Link, attachment: Attachment, fd: number | undefined): boolean {
  try {
    return isHostEnd(host, link, attachment, fd)
  } catch (error) {
    if (refusedWith(error, "EINVAL")) return false // no network namespace
    throw error
  }
}

function openIfPresent(netns: string): NetworkNamespace | undefined {
  try {
    return netns === "" ? undefined : new NetworkNamespace(netns)
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
