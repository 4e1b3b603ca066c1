import { type Owner, ownerAlias } from "../../lib/attachment/names.ts"
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
import { readText } from "../../lib/sys/file.ts"
import { createOwnIfb } from "./ifb.ts"
import { ticksPerMicrosecond } from "./token-bucket.ts"

/** The ticks of this node's packet scheduler per microsecond. */
export function readTicks(): number {
  return ticksPerMicrosecond(readText("/proc/net/psched"))
}

/** Limits what goes to the pod: its host veth delays what comes too fast. */
export function limitIngress({ kernel }: NetworkStack, veth: Link, bucket: TokenBucket, undo: Undo): void {
  try {
    undo.attempt(
      () => ensureTokenBucket(kernel, veth.index, bucket),
      () => removeQdisc(kernel, veth.index, "ROOT"),
    )
  } catch (error) {
    if (refusedWith(error, "EEXIST", "EINVAL")) refuseOther(kernel, veth, "ROOT", "tbf")
    throw error
  }
}

/** The veth is not limited by this plugin. */
export function removeLimits({ kernel }: NetworkStack, veth: Link): void {
  removeQdisc(kernel, veth.index, "ROOT")
  removeQdisc(kernel, veth.index, "INGRESS")
}

/** Limits what comes from the pod: its host veth drops what comes too fast. False where the kernel has no act_police. */
export function policeEgress({ kernel }: NetworkStack, veth: Link, bucket: TokenBucket, undo: Undo): boolean {
  openIngress(kernel, veth, undo)
  try {
    createFilter(kernel, veth.index, { kind: "police", rate: bucket.rate, burst: bucket.buffer })
    return true
  } catch (error) {
    if (refusedWith(error, "ENOENT")) return false
    throw error
  }
}

/** Limits what comes from the pod: it takes a way through an ifb, which delays what comes too fast. Returns the ifb. */
export function redirectEgress(host: NetworkStack, veth: Link, { bucket, owner, undo }: Redirection): Link {
  const { kernel } = host
  const ifb = createOwnIfb(host, owner, veth, undo)
  ensureTokenBucket(kernel, ifb.index, bucket)
  openIngress(kernel, veth, undo)
  createFilter(kernel, veth.index, { kind: "redirect", to: ifb.index })
  changeLink(kernel, ifb.index, ifb.name, { alias: ownerAlias(owner) })
  return ifb
}

export interface Redirection {
  readonly bucket: TokenBucket
  readonly owner: Owner
  readonly undo: Undo
}

/** The link has an ingress qdisc with nothing where this plugin's filter goes. */
function openIngress(kernel: Conversation, veth: Link, undo: Undo): void {
  try {
    undo.attempt(
      () => createIngressQdisc(kernel, veth.index),
      () => removeQdisc(kernel, veth.index, "INGRESS"),
    )
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    refuseOther(kernel, veth, "INGRESS", "ingress")
    removeFilter(kernel, veth.index)
    undo.add(() => removeFilter(kernel, veth.index))
  }
}

/** Throws if the qdisc at that place is not this plugin's. */
function refuseOther(kernel: Conversation, { index, name }: Link, place: Place, kind: string): void {
  const present = readQdisc(kernel, index, place)
  if (!present || (present.kind === kind && isOwnHandle(present.handle, place))) return
  const [where, handle] = [place.toLowerCase(), (present.handle >>> 16).toString(16)]
  throw new Conflict(
    `${name} has a qdisc of others at its ${where}: ${present.kind} ${handle}:`,
    `whoever put it there limits the pod already, or: tc qdisc del dev ${name} ${where}`,
  )
}
