import type { IpConfig } from "../../lib/cni/result.ts"
import { type Address, bits, type Family } from "../../lib/ip/address.ts"
import { hostPrefix, networkOf, type Prefix, samePrefix } from "../../lib/ip/prefix.ts"
import { type LinkRoute, RT_SCOPE_HOST, RT_SCOPE_LINK } from "../../lib/netlink/route/route.ts"

/** The index of the pod's interface in the result. */
export const POD_INTERFACE = 1

/** 169.254.1.1 and fe80::1. */
const LINK_LOCAL: Readonly<Record<Family, Address>> = {
  4: { family: 4, value: 0xa9fe0101n },
  6: { family: 6, value: (0xfe80n << 112n) | 1n },
}

/** The addresses and routes of the two ends of a pod's veth pair. */
export interface Layer3 {
  readonly ips: readonly (IpConfig & { readonly gateway: Address })[]
  /** To the gateway, and by it to the networks of the pod's addresses: their other pods are not on this link. */
  readonly podRoutes: readonly LinkRoute[]
  /** The gateways: the node has the same address on the link of every pod. */
  readonly hostAddresses: readonly Prefix[]
  /** To the pod's addresses. */
  readonly hostRoutes: readonly LinkRoute[]
}

/**
 * Plans the link of a pod with these addresses. If IPAM names no gateway it is a link-local address, which no other link can conflict with.
 */
export function planLayer3(addresses: readonly IpConfig[]): Layer3 {
  const ips = addresses.map((ip) => ({
    ...ip,
    gateway: ip.gateway ?? LINK_LOCAL[ip.address.address.family],
    interface: POD_INTERFACE,
  }))
  const podRoutes: LinkRoute[] = []
  const hostAddresses: Prefix[] = []
  for (const { address, gateway } of ips) {
    const source = address.address
    const toGateway = hostPrefix(gateway)
    if (!hostAddresses.some((known) => samePrefix(known, toGateway))) {
      hostAddresses.push(toGateway)
      podRoutes.push({ dst: toGateway, scope: RT_SCOPE_LINK, source })
    }
    const network = networkOf(address)
    const known = podRoutes.some(({ dst }) => samePrefix(dst, network))
    if (address.length < bits(source.family) && !known) podRoutes.push({ dst: network, gateway, source })
  }
  const hostRoutes = ips.map(({ address }) => ({ dst: hostPrefix(address.address), scope: RT_SCOPE_HOST }))
  return { ips, podRoutes, hostAddresses, hostRoutes }
}
