import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { alreadyAttached } from "../../lib/attachment/already-attached.ts"
import { temporaryName } from "../../lib/attachment/names.ts"
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
 * Makes the pod's macvlan, down, on a link of `source`: the node's stack, or the pod's own. The kernel wants a name that is free in
 * `source` too, which often has an `eth0` as well, so the macvlan gets a temporary name and is renamed. Replaces an unfinished
 * link, which has that name or alias. Throws Conflict if the pod is attached already.
 */
export function createPodMacvlan(source: NetworkStack, pod: NetworkStack, wanted: PodMacvlan, undo: Undo): Link {
  const { attachment, ...macvlan } = wanted
  const name = temporaryName(attachment)
  const namespace = source === pod ? undefined : pod.namespace?.fd
  undo.add(() => removeLink(pod.rtnetlink, name)) // also if the kernel's answer was lost
  createOrReplace(source, pod, { ...macvlan, name, namespace })
  const link = readLink(pod.rtnetlink, name)
  if (!link) throw new Conflict(`interface ${name} vanished from the pod while it was being set up`, "try again")
  undo.add(() => removeLink(pod.rtnetlink, link.index))
  rename(pod, link, attachment.ifname)
  return link
}

function createOrReplace(source: NetworkStack, pod: NetworkStack, wanted: NewMacvlan): void {
  try {
    createMacvlan(source.rtnetlink, wanted)
  } catch (error) {
    if (!refusedWith(error, "EEXIST") || !removeLink(pod.rtnetlink, wanted.name)) throw error
    createMacvlan(source.rtnetlink, wanted)
  }
}

function rename({ rtnetlink }: NetworkStack, { index, name }: Link, ifname: string): void {
  const change = { name: ifname, alias: name }
  try {
    changeLink(rtnetlink, index, name, change)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const present = readLink(rtnetlink, ifname)
    if (present?.alias !== name) throw alreadyAttached(`interface ${JSON.stringify(ifname)} already exists in the pod`)
    removeLink(rtnetlink, present.index)
    changeLink(rtnetlink, index, name, change)
  }
}

/**
 * Removes the attachment's macvlan, and what a killed ADD left of it. One without alias, as the Go plugin's, is removed only if `isProven`:
 * the namespace may be another pod's by now. One with another network's alias stays.
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
