import type { HostEnd } from "../../lib/attachment/veth.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { admitIPv6, refuseAdvertisements } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { addAddress } from "../../lib/netlink/route/address.ts"
import { changeLink } from "../../lib/netlink/route/link.ts"
import { createRoute, type LinkRoute } from "../../lib/netlink/route/route.ts"
import type { Layer3 } from "./layer3.ts"

/**
 * Sets the host end of a pod's veth pair up, and adds the gateways' addresses and the routes to the pod. Throws Conflict if the node has a
 * route to one of the pod's addresses already: it would win, and nobody would reach the pod.
 */
export function configureHostInterface(host: NetworkStack, veth: HostEnd, { hostAddresses, hostRoutes }: Layer3): void {
  const { rtnetlink } = host
  const { index, name } = veth
  const hasIPv6 = hostAddresses.some(({ address }) => address.family === 6)
  // The node sends neighbour solicitations from the link-local address, which DAD would keep tentative for a second or two.
  if (hasIPv6) {
    host.trySysctl(`net/ipv6/conf/${name}/accept_dad`, "0")
    admitIPv6(host, veth)
  }
  refuseAdvertisements(host, name)
  rtnetlink.together(() => {
    changeLink(rtnetlink, index, name, { up: true })
    for (const prefix of hostAddresses) {
      addAddress(rtnetlink, { index, link: name, prefix, skipDetection: prefix.address.family === 6 })
    }
  })
  for (const route of hostRoutes) addRoute(rtnetlink, veth, route)
}

function addRoute(rtnetlink: NetworkStack["rtnetlink"], { index }: HostEnd, route: LinkRoute): void {
  try {
    createRoute(rtnetlink, index, route)
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const dst = formatPrefix(route.dst)
    throw new Conflict(
      `the node has a route to ${dst} already`,
      `another pod may have this address: ip route show ${dst}`,
    )
  }
}
