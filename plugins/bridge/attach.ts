import { localMac, type Mac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { hostVethName, type Owner } from "../../lib/net/names.ts"
import { type NetworkStack, trySysctl } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { setPortVlans } from "../../lib/net/vlan.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, createVeth, type Link, type NewVeth, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import type { BridgeConfig } from "./config.ts"

/** A pod's link to the bridge: the host's end, and the pod's end by its index in the pod and its MAC. */
export interface Attachment {
  readonly host: Link
  readonly pod: { readonly index: number; readonly mac: Mac }
}

/** Makes the veth pair, in place of what a killed ADD left: a veth without the alias that ADD sets last. */
function createOrReplace({ kernel }: NetworkStack, wish: NewVeth): void {
  try {
    createVeth(kernel, wish)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const present = readLink(kernel, wish.host.name)
    if (!present) throw exists(`interface ${JSON.stringify(wish.peer.name)} already exists in the pod`)
    if (present.kind !== "veth") throw exists(`host interface ${present.name} is in the way: it is no veth`)
    if (present.alias !== "") throw exists(`host interface ${present.name} already exists (${present.alias})`)
    removeLink(kernel, present.index)
    createVeth(kernel, wish)
  }
}

/** A finished attachment says whose it is; that one stays. */
function removeUnfinished({ kernel }: NetworkStack, name: string): void {
  const veth = readLink(kernel, name)
  if (veth?.kind === "veth" && veth.alias === "") removeLink(kernel, veth.index)
}

function exists(message: string): Conflict {
  return new Conflict(message, "a pod is attached once per network and interface name: DEL the attachment first")
}

/**
 * Makes the veth pair, its host end a port of the bridge with the port's settings, up; the pod's end stays down.
 * Throws Conflict where the pod is attached already.
 */
export function attach(
  hosts: { readonly host: NetworkStack; readonly pod: NetworkStack; readonly undo: Undo },
  bridge: Link,
  config: BridgeConfig,
  wish: { readonly owner: Owner; readonly mac: Mac | undefined },
): Attachment {
  const { host, pod, undo } = hosts
  const name = hostVethName(wish.owner)
  const mtu = config.mtu || bridge.mtu
  const podMac = wish.mac ?? localMac(randomBytes(6))
  undo.add(() => removeUnfinished(host, name)) // also where the kernel's answer was lost
  createOrReplace(host, {
    host: { name, mac: localMac(randomBytes(6)), mtu, master: bridge.index },
    peer: { name: wish.owner.ifname, mac: podMac, mtu, namespace: pod.namespace?.fd },
  })
  undo.add(() => removeLink(host.kernel, name))
  const veth = readLink(host.kernel, name)
  if (!veth) throw new Conflict(`host interface ${name} vanished while it was being set up`, "try again")
  // A bridge port needs no IPv6 address of its own, and without one older kernels (6.1) delete it faster.
  trySysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1")
  setPortVlans(host.kernel, veth.index, {
    vlan: config.vlan,
    trunk: config.vlanTrunk ?? [],
    keepDefault: config.preserveDefaultVlan,
  })
  changeLink(host.kernel, veth.index, name, {
    up: true,
    ...(config.hairpinMode ? { hairpin: true } : {}),
    ...(config.portIsolation ? { isolated: true } : {}),
  })
  return { host: veth, pod: { index: veth.peer, mac: podMac } }
}
