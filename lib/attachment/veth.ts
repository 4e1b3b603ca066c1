import { Conflict } from "../net/conflict.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Undo } from "../net/undo.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { createVeth, type Link, type NewVeth, readLink, removeLink } from "../netlink/route/link.ts"
import { removeMasquerade } from "./masquerade.ts"
import { hostVethName, type Owner } from "./names.ts"

/** A veth pair to be made for a pod; the names are the owner's. */
export interface PodVeth {
  readonly owner: Owner
  readonly host: Omit<NewVeth["host"], "name">
  readonly pod: Omit<NewVeth["peer"], "name">
}

/**
 * Makes the pod's veth pair, both ends down, and returns its host end, whose name is computed from the owner. It takes the place of what
 * a killed ADD left: a veth without the alias that ADD sets last, and rules. Throws Conflict where the pod is attached already.
 */
export function createPodVeth(host: NetworkStack, { owner, ...ends }: PodVeth, undo: Undo): Link {
  const name = hostVethName(owner)
  undo.add(() => removeUnfinished(host, name)) // also where the kernel's answer was lost
  createOrReplace(host, owner, { host: { name, ...ends.host }, peer: { name: owner.ifname, ...ends.pod } })
  undo.add(() => removeLink(host.kernel, name))
  const veth = readLink(host.kernel, name)
  if (!veth) throw new Conflict(`host interface ${name} vanished while it was being set up`, "try again")
  return veth
}

function createOrReplace(host: NetworkStack, owner: Owner, wish: NewVeth): void {
  const { kernel } = host
  try {
    createVeth(kernel, wish)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const present = readLink(kernel, wish.host.name)
    if (!present) throw exists(`interface ${JSON.stringify(wish.peer.name)} already exists in the pod`)
    if (present.kind !== "veth") throw exists(`host interface ${present.name} is in the way: it is no veth`)
    if (present.alias !== "") throw exists(`host interface ${present.name} already exists (${present.alias})`)
    removeMasquerade(host, owner)
    removeLink(kernel, present.index)
    createVeth(kernel, wish)
  }
}

/** A finished attachment says whose it is; that one stays. */
function removeUnfinished({ kernel }: NetworkStack, name: string): void {
  const veth = readLink(kernel, name)
  if (veth?.kind === "veth" && veth.alias === "") removeLink(kernel, veth.index)
}

/** Says that the pod is attached already. */
export function exists(message: string): Conflict {
  return new Conflict(message, "a pod is attached once per network and interface name: DEL the attachment first")
}
