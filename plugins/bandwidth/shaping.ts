import { attachmentAlias } from "../../lib/attachment/alias.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link } from "../../lib/netlink/route/link.ts"
import { createFilter, removeFilter } from "../../lib/netlink/tc/filter.ts"
import {
  createIngressQdisc,
  ensureTokenBucket,
  isOwnHandle,
  type Place,
  readQdisc,
  removeQdisc,
  type TokenBucket,
} from "../../lib/netlink/tc/qdisc.ts"
import { readNamed } from "../../lib/sys/file.ts"
import { createOwnIfb, type NewIfb } from "./ifb.ts"
import { requireTicks } from "./token-bucket.ts"

/** Throws if the node's kernel has no packet scheduler, or one with another clock. */
export function requireScheduler(): void {
  requireTicks(readNamed("/proc/net/psched", 4096))
}

/** Limits what the pod receives: the host veth delays packets that come too fast. */
export function limitIngress({ rtnetlink }: NetworkStack, veth: Link, bucket: TokenBucket, undo: Undo): void {
  try {
    undo.attempt(
      () => ensureTokenBucket(rtnetlink, veth.index, bucket),
      () => removeQdisc(rtnetlink, veth.index, "ROOT"),
    )
  } catch (error) {
    if (refusedWith(error, "EEXIST", "EINVAL")) refuseOther(rtnetlink, veth, "ROOT", "tbf")
    throw error
  }
}

/** Removes this plugin's limits from the veth. */
export function removeLimits({ rtnetlink }: NetworkStack, veth: Link): void {
  removeQdisc(rtnetlink, veth.index, "ROOT")
  removeQdisc(rtnetlink, veth.index, "INGRESS")
}

/** Limits what the pod sends: the host veth drops packets that come too fast. Returns false if the kernel has no act_police. */
export function policeEgress({ rtnetlink }: NetworkStack, veth: Link, bucket: TokenBucket, undo: Undo): boolean {
  openIngress(rtnetlink, veth, undo)
  try {
    createFilter(rtnetlink, veth.index, { kind: "police", rate: bucket.rate, burst: bucket.buffer })
    return true
  } catch (error) {
    if (refusedWith(error, "ENOENT")) return false
    throw error
  }
}

/** Limits what the pod sends: it is redirected to an ifb, which delays packets that come too fast. Returns the ifb. */
export function redirectEgress(host: NetworkStack, veth: Link, { bucket, attachment, undo }: Redirection): NewIfb {
  const { rtnetlink } = host
  const ifb = createOwnIfb(host, attachment, veth, undo)
  ensureTokenBucket(rtnetlink, ifb.index, bucket)
  openIngress(rtnetlink, veth, undo)
  createFilter(rtnetlink, veth.index, { kind: "redirect", to: ifb.index })
  changeLink(rtnetlink, ifb.index, ifb.name, { alias: attachmentAlias(attachment) })
  return ifb
}

export interface Redirection {
  readonly bucket: TokenBucket
  readonly attachment: Attachment
  readonly undo: Undo
}

/** Gives the link an ingress qdisc without this plugin's filter. */
function openIngress(rtnetlink: Conversation, veth: Link, undo: Undo): void {
  try {
    undo.attempt(
      () => createIngressQdisc(rtnetlink, veth.index),
      () => removeQdisc(rtnetlink, veth.index, "INGRESS"),
    )
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    refuseOther(rtnetlink, veth, "INGRESS", "ingress")
    removeFilter(rtnetlink, veth.index)
    undo.add(() => removeFilter(rtnetlink, veth.index))
  }
}

/** Throws if the qdisc at that place is not this plugin's. */
function refuseOther(rtnetlink: Conversation, { index, name }: Link, place: Place, kind: string): void {
  const present = readQdisc(rtnetlink, index, place)
  if (!present || (present.kind === kind && isOwnHandle(present.handle, place))) return
  const [where, handle] = [place.toLowerCase(), (present.handle >>> 16).toString(16)]
  throw new Conflict(
    `${name} has a qdisc of others at its ${where}: ${present.kind} ${handle}:`,
    `whoever put it there limits the pod already, or: tc qdisc del dev ${name} ${where}`,
  )
}
