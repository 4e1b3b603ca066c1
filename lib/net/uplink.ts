import { type Family, families } from "../ip/address.ts"
import { isDefault } from "../ip/prefix.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { listRoutes, type NextHop, type Route, RT_TABLE_MAIN } from "../netlink/route/route.ts"

/** The index of `lo` in every namespace (LOOPBACK_IFINDEX). */
const LOOPBACK = 1

/**
 * Returns the index of the link that the default route leaves by: IPv4's before IPv6's, then the one of least metric. Undefined if none leaves
 * the node: `unreachable default` and `default dev lo` do not.
 */
export function findUplink(rtnetlink: Conversation): number | undefined {
  for (const route of families.flatMap((family) => listDefaultRoutes(rtnetlink, family))) {
    const ways = outwards(route)
    const way = ways.find(({ down }) => !down) ?? ways[0]
    if (way) return way.index
  }
  return undefined
}

/** Returns the indexes of all links that a default route of one of these families leaves by. */
export function listUplinks(rtnetlink: Conversation, of: readonly Family[]): ReadonlySet<number> {
  const routes = of.flatMap((family) => listDefaultRoutes(rtnetlink, family))
  return new Set(routes.flatMap((route) => outwards(route).map(({ index }) => index)))
}

/** Lists them from the least metric on. */
function listDefaultRoutes(rtnetlink: Conversation, family: Family): Route[] {
  return listRoutes(rtnetlink, family, RT_TABLE_MAIN)
    .filter(({ dst }) => isDefault(dst))
    .sort((a, b) => a.priority - b.priority)
}

/** Returns the next hops that leave the node. A route through a next hop object alone names no link. */
function outwards({ hops }: Route): readonly NextHop[] {
  return hops.filter(({ index }) => index > LOOPBACK)
}
