import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { createPodVeth, type HostEnd } from "../../lib/attachment/veth.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { localMac, type Mac } from "../../lib/ip/mac.ts"
import { changeWithoutAddress, IPV6_LEAST_MTU } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { changeLink, type Link, removeLink } from "../../lib/netlink/route/link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import { portMac } from "./bridge-link.ts"
import type { BridgeConfig } from "./config.ts"
import { ensureMacGuard, removeMacGuard } from "./mac-guard.ts"
import { setPortVlans } from "./vlan.ts"

/** A pod's veth pair: the host end, and the pod end by its index in the pod and its MAC address. */
export interface VethPair {
  readonly host: HostEnd
  readonly pod: { readonly index: number; readonly mac: Mac }
}

/**
 * Makes the veth pair. The host end is a port of the bridge with its settings, and up, in this order; the pod end stays down: else the kernel
 * would give the port an IPv6 address before it is told not to. Throws Conflict if the pod is attached already.
 */
export function attach(
  { host, pod, undo, config, attachment }: AddContext<BridgeConfig>,
  bridge: Link,
  mac: Mac | undefined,
): VethPair {
  // A bridge may take over a port's MTU, and loses IPv6 if that is too small for it. If IPAM gives the pod an IPv6 address, ADD fails, but
  // the bridge would have lost IPv6: so such an MTU waits for IPAM (settleMtu).
  const early = config.mtu >= IPV6_LEAST_MTU || config.ipamType === ""
  const mtu = (early && config.mtu) || bridge.mtu
  const podMac = mac ?? localMac(randomBytes(6))
  const hostEnd = { mac: portMac(bridge), mtu, master: bridge.index }
  const veth = createPodVeth({ host, pod }, { attachment, host: hostEnd, pod: { mac: podMac, mtu } }, undo)
  refuseRouters(host, veth)
  if (config.macspoofchk) guard(host, veth, attachment, podMac, undo)
  setPortVlans(host.rtnetlink, veth.index, {
    vlan: config.vlan,
    trunk: config.vlanTrunk ?? [],
    keepDefault: config.preserveDefaultVlan,
  })
  changeWithoutAddress(host.rtnetlink, veth, {
    up: true,
    ...(config.hairpinMode ? { hairpin: true } : {}),
    ...(config.portIsolation ? { isolated: true } : {}),
  })
  return { host: veth, pod: { index: veth.peer, mac: podMac } }
}

/** Lets the pod send only from its own MAC address, from before its host end is up until the veth is gone. */
function guard(host: NetworkStack, veth: HostEnd, attachment: Attachment, mac: Mac, undo: Undo): void {
  undo.add(() => removeMacGuard(host, attachment))
  undo.add(() => removeLink(host.rtnetlink, veth.name)) // before the guard
  ensureMacGuard(host, attachment, veth.name, mac)
}

/** Has the port take no router advertisements, which only come to it if somebody removes it from the bridge. */
function refuseRouters(host: NetworkStack, { name }: HostEnd): void {
  host.trySysctl(`net/ipv6/conf/${name}/accept_ra`, "0")
}

/** Sets the MTU of both ends, once it is known if the pod has IPv6. */
export function settleMtu(
  { host, pod }: { readonly host: NetworkStack; readonly pod: NetworkStack },
  { host: veth, pod: inPod }: VethPair,
  mtu: number,
): void {
  if (veth.mtu === mtu) return
  changeLink(host.rtnetlink, veth.index, veth.name, { mtu })
  if (veth.mtu < IPV6_LEAST_MTU) {
    refuseRouters(host, veth) // it had no IPv6 until now
    changeWithoutAddress(host.rtnetlink, veth, {})
  }
  changeLink(pod.rtnetlink, inPod.index, `peer of ${veth.name}`, { mtu })
}
