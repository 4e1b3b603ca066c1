import { type Attachment, attachmentOf } from "../cni/attachment.ts"
import type { Call } from "../cni/plugin.ts"
import type { Dns, Result } from "../cni/result.ts"
import { formatMac } from "../ip/mac.ts"
import { Conflict } from "../net/conflict.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Undo } from "../net/undo.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { changeLink, type Link, readLink, removeLink } from "../netlink/route/link.ts"
import { hasIPv6 } from "./addresses.ts"
import { attachmentAlias } from "./alias.ts"
import { alreadyAttached } from "./already-attached.ts"
import { assertRoomForIPv6 } from "./interface-keys.ts"
import type { AddContext, IpamConfig } from "./interface-plugin.ts"
import { temporaryName } from "./names.ts"
import { configurePodInterface } from "./pod-interface.ts"
import { openPodIfPresent } from "./pod-stack.ts"
import { isOfAttachment, isOfAttachmentByAddress } from "./same-pod.ts"

/** A link without a peer, such as a macvlan, that is to become the pod's interface. */
export interface NewPodLink {
  readonly attachment: Attachment
  /** The stack it is made from: the pod's own, or the node's if the link that it is to be on lives there. */
  readonly source: NetworkStack
  /** Makes the link, down, by this name; `namespace` is the pod's, undefined if it is that of the conversation. */
  readonly create: (rtnetlink: Conversation, link: { name: string; namespace: number | undefined }) => void
}

/**
 * Makes the pod's link, down, and returns it. The kernel wants a name that is free in `source` too, which often has an `eth0` as well, so
 * the link gets a temporary name and is renamed. Replaces an unfinished link, which has that name or alias. Throws Conflict if the pod is
 * attached already.
 */
export function createPodLink(pod: NetworkStack, wanted: NewPodLink, undo: Undo): Link {
  const { attachment } = wanted
  const name = temporaryName(attachment)
  undo.add(() => removeLink(pod.rtnetlink, name)) // also if the kernel's answer was lost
  createOrReplace(pod, wanted, name)
  const link = readLink(pod.rtnetlink, name)
  if (!link) throw new Conflict(`interface ${name} vanished from the pod while it was being set up`, "try again")
  undo.add(() => removeLink(pod.rtnetlink, link.index))
  rename(pod, link, attachment.ifname)
  return link
}

function createOrReplace(pod: NetworkStack, { attachment, source, create }: NewPodLink, name: string): void {
  const link = { name, namespace: source === pod ? undefined : pod.namespace?.fd }
  try {
    create(source.rtnetlink, link)
  } catch (error) {
    const removed = () => removeLink(pod.rtnetlink, name) || removeRenamed(pod, attachment.ifname, name)
    if (!refusedWith(error, "EEXIST") || !removed()) throw error
    create(source.rtnetlink, link)
  }
}

function rename(pod: NetworkStack, { index, name }: Link, ifname: string): void {
  const change = { name: ifname, alias: name }
  try {
    changeLink(pod.rtnetlink, index, name, change)
  } catch (error) {
    if (!refusedWith(error, "EEXIST") || !removeRenamed(pod, ifname, name)) throw error
    changeLink(pod.rtnetlink, index, name, change)
  }
}

/** Removes the unfinished link that has the pod's name already; false: nothing has. Throws Conflict if it is another link. */
function removeRenamed({ rtnetlink }: NetworkStack, ifname: string, name: string): boolean {
  const present = readLink(rtnetlink, ifname)
  if (!present) return false
  if (present.alias !== name) throw alreadyAttached(`interface ${JSON.stringify(ifname)} already exists in the pod`)
  return removeLink(rtnetlink, present.index)
}

/** Configuration of a plugin that makes a link by createPodLink(). */
export interface PodLinkConfig extends IpamConfig {
  /** 0: the kernel's choice, or that of the link it is on. */
  readonly mtu: number
  /** The result's DNS settings: those of IPAM never count. */
  readonly dns: Dns
}

/**
 * Gives the new link the addresses that were taken for it, sets it up, and returns ADD's result. The alias, which says that the attachment is
 * complete, comes with the last request. Duplicates of IPv6 addresses are looked for, unless nobody can have them. Throws code 7 naming
 * `mtuKey` if its MTU is too small for IPv6.
 */
export function configurePodLink(
  context: AddContext<PodLinkConfig>,
  link: Link,
  mtuKey: string,
  detectDuplicates = true,
): Result {
  const { call, config, attachment, pod, takeAddresses } = context
  const { ips, routes } = takeAddresses()
  if (hasIPv6(ips)) assertRoomForIPv6(mtuKey, link.mtu)
  if (ips.length > 0) {
    configurePodInterface(pod, {
      index: link.index,
      name: attachment.ifname,
      addresses: ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
      routes: routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
      detectDuplicates,
    })
  }
  changeLink(pod.rtnetlink, link.index, attachment.ifname, { up: true, alias: attachmentAlias(attachment) })
  return {
    interfaces: [{ name: attachment.ifname, mac: formatMac(link.mac), sandbox: call.environment.netns }],
    ips: ips.map((ip) => ({ ...ip, interface: 0 })),
    routes,
    dns: config.dns,
  }
}

/** A kind of link that createPodLink() makes. */
interface PodLinkKind {
  readonly kind: string
  /** Its MAC address tells it from no other, as it is that of the link that it is on. */
  readonly sharesMac?: true
}

/**
 * Returns the removal of links of this kind: the attachment's, and what a killed ADD left of it. One without alias, as the Go plugin's, is
 * removed only if it is proven to be the attachment's: the namespace may be another pod's by now. One with another network's alias stays.
 * GC has nothing to collect: these links live and die with their pods' namespaces.
 */
export function podLinks(kind: PodLinkKind): { remove: (call: Call) => void } {
  return {
    remove: (call) => {
      using pod = openPodIfPresent(call.environment.netns)
      if (pod) removePodLink(pod, call, kind)
    },
  }
}

function removePodLink(pod: NetworkStack, call: Call, { kind, sharesMac }: PodLinkKind): void {
  const { rtnetlink } = pod
  const attachment = attachmentOf(call)
  const name = temporaryName(attachment)
  removeLink(rtnetlink, name)
  const link = readLink(rtnetlink, attachment.ifname)
  if (link?.kind !== kind) return
  const isProven = () => (sharesMac ? isOfAttachmentByAddress(call, pod, link) : isOfAttachment(call, pod, link))
  const own = link.alias === "" ? isProven() : [name, attachmentAlias(attachment)].includes(link.alias)
  if (own) removeLink(rtnetlink, link.index)
}
