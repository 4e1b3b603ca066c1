import type { Attachment } from "../cni/attachment.ts"
import { Conflict } from "../net/conflict.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Undo } from "../net/undo.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { findLinkIndex, type Link, readLink, removeLink } from "../netlink/route/link.ts"
import { createVeth, type NewVeth } from "../netlink/route/new-link.ts"
import { isUnfinished } from "./alias.ts"
import { alreadyAttached } from "./already-attached.ts"
import { leadsElsewhere } from "./host-end.ts"
import { removeMasquerade } from "./masquerade.ts"
import { hostVethName } from "./names.ts"

/** A veth pair to be made for a pod; its names are the attachment's. */
export interface PodVeth {
  readonly attachment: Attachment
  readonly host: Omit<NewVeth, "name" | "peer">
  readonly pod: Omit<NewVeth["peer"], "name" | "namespace">
}

/** The host end of a veth pair that was made just now: what the kernel would say of it. */
export type HostEnd = Pick<Link, "index" | "name" | "kind" | "mac" | "mtu" | "peer">

/** The stacks in which the two ends live. */
interface Stacks {
  readonly host: NetworkStack
  readonly pod: NetworkStack
}

/**
 * Makes the pod's veth pair, both ends down, and returns its host end, whose name is computed from the attachment. It takes the place of
 * what a killed ADD left: an unfinished veth, and rules. Throws Conflict if the pod is attached already, or if an unfinished veth leads to
 * another namespace, in which another ADD may be at work.
 */
export function createPodVeth({ host, pod }: Stacks, { attachment, ...ends }: PodVeth, undo: Undo): HostEnd {
  const name = hostVethName(attachment)
  const namespace = pod.namespace?.fd
  undo.add(() => removeUnfinished(host, name, namespace)) // also if the kernel's answer was lost
  createOrReplace(host, attachment, { name, ...ends.host, peer: { name: attachment.ifname, namespace, ...ends.pod } })
  undo.add(() => removeLink(host.rtnetlink, name))
  const index = findLinkIndex(host.rtnetlink, name)
  const peer = findLinkIndex(pod.rtnetlink, attachment.ifname)
  if (!index || !peer) throw new Conflict(`host interface ${name} vanished while it was being set up`, "try again")
  const { mac, mtu } = ends.host
  return { index, name, kind: "veth", mac, mtu: mtu || ETHERNET_MTU, peer }
}

/** The kernel's choice for a veth (ETH_DATA_LEN). */
const ETHERNET_MTU = 1500

function createOrReplace(host: NetworkStack, attachment: Attachment, wish: NewVeth): void {
  const { rtnetlink } = host
  try {
    createVeth(rtnetlink, wish)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const present = readLink(rtnetlink, wish.name)
    if (!present) throw alreadyAttached(`interface ${JSON.stringify(wish.peer.name)} already exists in the pod`)
    if (present.kind !== "veth") throw alreadyAttached(`host interface ${present.name} is in the way: it is no veth`)
    if (!isUnfinished(present.alias))
      throw alreadyAttached(`host interface ${present.name} already exists (${present.alias})`)
    if (leadsElsewhere(host, present, wish.peer.namespace))
      throw alreadyAttached(`host interface ${present.name} already leads to another network namespace`)
    removeMasquerade(host, attachment)
    removeLink(rtnetlink, present.index)
    createVeth(rtnetlink, wish)
  }
}

function removeUnfinished(host: NetworkStack, name: string, fd: number | undefined): void {
  const veth = readLink(host.rtnetlink, name)
  if (veth?.kind !== "veth" || !isUnfinished(veth.alias) || leadsElsewhere(host, veth, fd)) return
  removeLink(host.rtnetlink, veth.index)
}
