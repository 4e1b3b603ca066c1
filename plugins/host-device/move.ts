import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link, readLink } from "../../lib/netlink/route/link.ts"
import { sameBytes } from "../../lib/sys/bytes.ts"

/** The network stacks that a device goes between. */
export interface Stacks {
  readonly host: NetworkStack
  readonly pod: NetworkStack
}

/** A device on its way into a pod. */
export interface Arrival {
  readonly device: Link
  /** The name to be given back on the node. */
  readonly nameOnNode: string
  readonly ifname: string
  readonly up: boolean
}

/** Moves the device into the pod, under its new name and with its old one for an alias, in one request. */
export function moveIn({ host, pod }: Stacks, { device, nameOnNode, ifname, up }: Arrival, undo: Undo): void {
  undo.add(() => takeBack({ host, pod }, device, ifname)) // also if the kernel's answer was lost, or it did half
  try {
    changeLink(host.rtnetlink, device.index, device.name, { ...placeOf(pod), name: ifname, alias: nameOnNode, up })
  } catch (error) {
    if (!refusedWith(error, "ENODEV")) throw error
    throw new Conflict(
      `the device ${device.name} left the node meanwhile`,
      "another pod was given it: try again once that is gone",
    )
  }
}

function placeOf({ namespace }: NetworkStack): { namespace: number } {
  if (!namespace) throw new Error("the pod's stack is the node's own")
  return { namespace: namespace.fd }
}

function homeOf({ namespace }: NetworkStack): { namespace: number } {
  if (!namespace) throw new Error("the pod's stack is the node's own")
  return { namespace: namespace.homeFd }
}

/** Moves the device back as it was, if it left. The kernel renames it in the pod after it has moved it there. */
function takeBack({ host, pod }: Stacks, { index, name, alias, up, mac }: Link, ifname: string): void {
  if (readLink(host.rtnetlink, index)?.name === name) return
  const inPod = [ifname, name]
    .map((key) => readLink(pod.rtnetlink, key))
    .find((link) => link && sameBytes(link.mac, mac))
  if (!inPod) return
  changeLink(pod.rtnetlink, inPod.index, inPod.name, { ...homeOf(pod), name, alias, up })
}

/**
 * Gives the device back to the node, down, under its name, and returns that. If the name is taken there by now, it is `dev` and a number, and
 * the alias stays for later. It is renamed in the pod, out of sight of the node's udev, unless the pod has a link of that name.
 */
export function giveBack({ host, pod }: Stacks, link: Link, nameOnNode: string, undo: Undo): string {
  const taken = readLink(host.rtnetlink, nameOnNode) !== undefined
  const name = taken ? `dev${link.index}` : nameOnNode
  undo.add(() => changeLink(pod.rtnetlink, link.index, link.name, { name: link.name, up: link.up }))
  if (link.up) changeLink(pod.rtnetlink, link.index, link.name, { up: false })
  renameInPod(pod, link, name)
  changeLink(pod.rtnetlink, link.index, link.name, { ...homeOf(pod), name, alias: taken ? nameOnNode : "" })
  return name
}

function renameInPod({ rtnetlink }: NetworkStack, link: Link, name: string): void {
  if (link.name === name) return
  try {
    changeLink(rtnetlink, link.index, link.name, { name })
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
  }
}
