import { isLinkLocal } from "../../lib/ip/address.ts"
import { type Prefix, samePrefix } from "../../lib/ip/prefix.ts"
import { waitForDetection } from "../../lib/net/events.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link } from "../../lib/netlink/route/link.ts"
import { addRoute, deleteRoute, type LinkRoute, type NextHop, type Route } from "../../lib/netlink/route/route.ts"
import { copyRoute, listWholeRoutes, removeRoute, type WholeRoute } from "../../lib/netlink/route/whole-route.ts"

/** The routing table that a link's routes are in, and the one that they are to be in. */
export interface Tables {
  readonly from: number
  readonly to: number
}

/**
 * Makes the link a port of a VRF, or of none with 0. The kernel sets it down and up for that, and forgets its routes: they are made once more,
 * and IPv6 addresses, which it would forget, too, are kept.
 */
export function moveLink(
  pod: NetworkStack,
  link: Link,
  master: number,
  routes: readonly WholeRoute[],
  tables: Tables,
): void {
  const { index, name } = link
  keepingAddresses(pod, name, () => changeLink(pod.rtnetlink, index, name, { master }))
  if (routes.some(({ dst }) => isGlobalIPv6(dst))) waitForDetection(pod, index, name) // before, no route can name them as its source
  restoreRoutes(pod.rtnetlink, index, routes, tables)
}

function isGlobalIPv6({ address }: Prefix): boolean {
  return address.family === 6 && !isLinkLocal(address)
}

function keepingAddresses(pod: NetworkStack, name: string, change: () => void): void {
  const setting = `net/ipv6/conf/${name}/keep_addr_on_down`
  const before = pod.readSysctl(setting)
  pod.trySysctl(setting, "1")
  try {
    change()
  } finally {
    if (before !== undefined) pod.trySysctl(setting, before)
  }
}

/** Returns the routes out of one link, of all tables but the kernel's own; those without gateway first: the others need them. */
export function listOwnRoutes(rtnetlink: Conversation, index: number): WholeRoute[] {
  const own = listWholeRoutes(rtnetlink).filter((route) => isUnicast(route) && hopsBy(route, index).length > 0)
  const isDirect = ({ hops }: Route) => hops.every(({ gateway }) => !gateway)
  return [...own.filter(isDirect), ...own.filter((route) => !isDirect(route))]
}

const RTN_UNICAST = 1
const RTPROT_KERNEL = 2

/** Says if it is no route to the link's own addresses, to broadcast or multicast: a VRF's table has those, too, and the kernel sees to them. */
function isUnicast({ payload, dst }: WholeRoute): boolean {
  const isMulticast = dst.address.family === 6 && dst.address.value >> 120n === 0xffn
  return payload[7] === RTN_UNICAST && !isMulticast
}

function hopsBy({ hops }: Route, index: number): NextHop[] {
  return hops.filter((hop) => hop.index === index)
}

/** Of several next hops those by the link count. What the kernel made in the table when the link came up goes if it was not there before. */
function restoreRoutes(
  rtnetlink: Conversation,
  index: number,
  before: readonly WholeRoute[],
  { from, to }: Tables,
): void {
  for (const route of before) restoreRoute(rtnetlink, index, route, route.table === from ? to : route.table)
  const isWanted = ({ dst, priority }: Route) =>
    before.some((one) => one.table === from && one.priority === priority && samePrefix(one.dst, dst))
  for (const route of listOwnRoutes(rtnetlink, index)) {
    if (route.table === to && route.payload[5] === RTPROT_KERNEL && !isWanted(route)) removeRoute(rtnetlink, route, to)
  }
}

/** Takes the link's next hop from a route that other links share. The kernel takes none from an IPv4 route. */
function leaveOthers(rtnetlink: Conversation, index: number, route: LinkRoute): void {
  try {
    deleteRoute(rtnetlink, index, route)
  } catch (error) {
    if (!refusedWith(error, "ESRCH")) throw error
  }
}

function restoreRoute(rtnetlink: Conversation, index: number, route: WholeRoute, table: number): void {
  const { dst, priority } = route
  const hops = hopsBy(route, index)
  try {
    if (hops.length === route.hops.length) copyRoute(rtnetlink, route, table)
    else for (const { gateway } of hops) addRoute(rtnetlink, index, { dst, gateway, priority, table })
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
  }
  if (hops.length === route.hops.length || table === route.table) return
  for (const { gateway } of hops) leaveOthers(rtnetlink, index, { dst, gateway, priority, table: route.table })
}
