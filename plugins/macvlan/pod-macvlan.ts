import { attachmentAlias, temporaryName } from "../../lib/attachment/names.ts"
import { exists } from "../../lib/attachment/veth.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Mac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import {
  changeLink,
  createMacvlan,
  type Link,
  type NewMacvlan,
  readLink,
  removeLink,
} from "../../lib/netlink/route/link.ts"

/** A macvlan to be made for a pod; the name is the attachment's. */
export interface PodMacvlan extends Omit<NewMacvlan, "name" | "namespace" | "mac"> {
  readonly attachment: Attachment
  readonly mac: Mac | undefined
}

/**
 * Makes the pod's macvlan, down, on a link of `source`: the node's stack, or the pod's own. The kernel looks for the name among the
 * links of `source` too, where the pod's may well be taken (`eth0`), so it is made under a name of its own and renamed. What a killed
 * ADD left is replaced: a link of that name, or one that has it for its alias. Throws Conflict where the pod is attached already.
 */
export function createPodMacvlan(source: NetworkStack, pod: NetworkStack, wish: PodMacvlan, undo: Undo): Link {
  const { attachment, ...macvlan } = wish
  const name = temporaryName(attachment)
  const namespace = source === pod ? undefined : pod.namespace?.fd
  undo.add(() => removeLink(pod.rtnetlink, name)) // also where the kernel's answer was lost
  createOrReplace(source, pod, { ...macvlan, name, namespace })
  const link = readLink(pod.rtnetlink, name)
  if (!link) throw new Conflict(`interface ${name} vanished from the pod while it was being set up`, "try again")
  undo.add(() => removeLink(pod.rtnetlink, link.index))
  rename(pod, link, attachment.ifname)
  return link
}

function createOrReplace(source: NetworkStack, pod: NetworkStack, wish: NewMacvlan): void {
  try {
    createMacvlan(source.rtnetlink, wish)
  } catch (error) {
    if (!refusedWith(error, "EEXIST") || !removeLink(pod.rtnetlink, wish.name)) throw error
    createMacvlan(source.rtnetlink, wish)
  }
}

function rename({ rtnetlink }: NetworkStack, { index, name }: Link, ifname: string): void {
  const change = { name: ifname, alias: name }
  try {
    changeLink(rtnetlink, index, name, change)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const present = readLink(rtnetlink, ifname)
    if (present?.alias !== name) throw exists(`interface ${JSON.stringify(ifname)} already exists in the pod`)
    removeLink(rtnetlink, present.index)
    changeLink(rtnetlink, index, name, change)
  }
}

/**
 * Removes the attachment's macvlan, and what a killed ADD left of it. One that says nothing, as the Go plugin's, goes only if `isProven`: the
 * namespace may be another pod's by now. Another network's, which says so, stays.
 */
export function removePodMacvlan(
  { rtnetlink }: NetworkStack,
  attachment: Attachment,
  isProven: (link: Link) => boolean,
): void {
  const name = temporaryName(attachment)
  removeLink(rtnetlink, name)
  const link = readLink(rtnetlink, attachment.ifname)
  if (link?.kind !== "macvlan") return
  const own = link.alias === "" ? isProven(link) : [name, attachmentAlias(attachment)].includes(link.alias)
  if (own) removeLink(rtnetlink, link.index)
}
