import { isHostEnd } from "../../lib/attachment/host-end.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Address } from "../../lib/ip/address.ts"
import { type NetworkStack, readSysctl, trySysctl, writeSysctl } from "../../lib/net/stack.ts"
import { listUplinks } from "../../lib/net/uplink.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { type Link, listLinks, readLink } from "../../lib/netlink/route/link.ts"
import { lookupRoute } from "../../lib/netlink/route/route.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { isMasqueradedBehind } from "./hostport/behind.ts"

/*
 * With route_localnet the node's programs reach a pod by 127.0.0.1, and whoever sends to the node by that link reaches what listens on the
 * node's 127.0.0.1 (CVE-2020-8558). So it is set where pods are and nobody else, and taken back with the last pod that needs it.
 */

/** The attachment that has host ports, and the path of its network namespace. */
export interface PodEnd {
  readonly attachment: Attachment
  readonly netns: string
}

/**
 * Plans to let packets from 127.0.0.1 leave for the pod's address: returns a step that does so, or undefined if there is no way there. Changes
 * nothing yet, but throws SystemError where the step would. A link that does not lead to this pod is named to `refused`.
 */
export function planRouteLocalnet(
  host: NetworkStack,
  end: PodEnd,
  pod: Address,
  refused: (link: string) => void,
): (() => void) | undefined {
  const link = linkTo(host, pod)
  if (!link) return undefined
  const setting = settingOf(link)
  if (!isOpen(link)) {
    if (!leadsToPods(host, link, end)) {
      refused(link.name)
      return undefined
    }
    writeSysctl(setting, "") // opens it for writing, no more
  }
  // The rules are there by now. Somebody who took it back before has not seen them.
  return () => {
    if (!isOpen(link) && leadsToPods(host, link, end)) writeSysctl(setting, "1")
  }
}

/**
 * Takes it back from the links by which the addresses of a pod were reached whose rules are gone, unless another pod's rules need it there.
 * What cannot be proven to be a link of the pod's is left alone: it may be somebody else who opened it.
 */
export function closeRouteLocalnet(host: NetworkStack, end: PodEnd, pods: readonly Address[]): void {
  for (const pod of pods) {
    const link = linkTo(host, pod)
    if (!link || !isOpen(link) || isMasqueradedBehind(host, link) || !leadsToPods(host, link, end)) continue
    trySysctl(settingOf(link), readSysctl("net/ipv4/conf/default/route_localnet") ?? "0")
    if (isMasqueradedBehind(host, link)) trySysctl(settingOf(link), "1") // a pod has come that found it open
  }
}

function linkTo({ rtnetlink }: NetworkStack, pod: Address): Link | undefined {
  const way = lookupRoute(rtnetlink, pod)
  return way && readLink(rtnetlink, way.index)
}

function settingOf({ name }: Link): string {
  return `net/ipv4/conf/${name}/route_localnet`
}

function isOpen(link: Link): boolean {
  return readSysctl(settingOf(link)) === "1"
}

/**
 * Says if the link leads to this pod, and if to others, to pods alone: it is the host's end of the pod's own pair; or a bridge that has the pod's
 * among its ports, no port that is not a veth, and is not the node's way out; or the host's own interface in a VLAN of such a bridge.
 */
function leadsToPods(host: NetworkStack, link: Link, { attachment, netns }: PodEnd): boolean {
  const { rtnetlink } = host
  using namespace = openIfPresent(netns)
  const isPods = (candidate: Link) => isEndOf(host, candidate, attachment, namespace?.fd)
  if (isPods(link)) return true
  const bridge = bridgeBehind(host, link)
  if (!bridge || listUplinks(rtnetlink, [4]).has(link.index)) return false
  const { links: ports, partial } = listLinks(rtnetlink, { master: bridge })
  return !partial && ports.every(({ kind }) => kind === "veth") && ports.some(isPods)
}

/** Returns the index of the bridge that the link is, or that it takes part in by a veth; 0 if there is none. */
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
