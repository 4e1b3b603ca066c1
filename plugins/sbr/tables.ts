import type { IpConfig, Result } from "../../lib/cni/result.ts"
import type { Address } from "../../lib/ip/address.ts"
import { contains, isDefault } from "../../lib/ip/prefix.ts"
import { type Route, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import { isFrom, type PolicyRule } from "../../lib/netlink/route/rule.ts"

/** The first table that sbr takes, as the Go plugin. */
const FIRST_TABLE = 100
const RT_TABLE_DEFAULT = 253

/** An address of the interface, and the table that packets from it are to be routed by. */
export interface Share {
  readonly ip: IpConfig
  readonly table: number
  /** True if a rule leads there already: an ADD before this one added it. */
  readonly ruled: boolean
}

/** Returns the rule of sbr's kind for that address, if there is one: a rule for it alone, to a table that is not one of the kernel's. */
export function findRule(rules: readonly PolicyRule[], { address }: IpConfig): PolicyRule | undefined {
  return rules.find((rule) => isFrom(rule, address.address) && !isKernels(rule.table))
}

/** Says if the table is main, default or local, to which the kernel leads everybody. */
export function isKernels(table: number): boolean {
  return table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL
}

/**
 * Returns a table for each address: the one that a rule leads it to, or else the first that no rule leads to and in which nobody but the
 * interface has routes.
 */
export function shareTables(
  ips: readonly IpConfig[],
  rules: readonly PolicyRule[],
  routes: readonly Route[],
  index: number,
): Share[] {
  const foreign = routes.filter((route) => !leavesBy(route, index))
  const taken = new Set([...rules, ...foreign].map(({ table }) => table))
  return ips.map((ip) => {
    const rule = findRule(rules, ip)
    if (rule) return { ip, table: rule.table, ruled: true }
    let table = FIRST_TABLE
    while (taken.has(table) || isKernels(table)) table++
    taken.add(table)
    return { ip, table, ruled: false }
  })
}

/** Returns the interface's routes in a table. */
export function ownRoutes<R extends Route>(routes: readonly R[], index: number, table: number): R[] {
  return routes.filter((route) => route.table === table && leavesBy(route, index))
}

/** Returns the routes without gateway first: the others need them. */
export function directFirst<R extends Route>(routes: readonly R[]): R[] {
  const isDirect = ({ hops }: Route) => hops.every(({ gateway }) => !gateway)
  return [...routes.filter(isDirect), ...routes.filter((route) => !isDirect(route))]
}

function leavesBy({ hops }: Route, index: number): boolean {
  return hops.length > 0 && hops.every((hop) => hop.index === index)
}

/**
 * Says if a route of the interface is for packets from that address: if the source, the gateway or, without them, the destination is in the
 * address's network, or in none of the interface's networks.
 */
export function isFor({ dst, source, hops }: Route, ip: IpConfig, ips: readonly IpConfig[]): boolean {
  if (dst.address.family !== ip.address.address.family) return false
  const said = [source, ...hops.map(({ gateway }) => gateway)].filter((address) => address !== undefined)
  const named = said.length > 0 ? said : [dst.address]
  const isNamedIn = ({ address }: IpConfig) => named.some((one) => contains(address, one))
  return isNamedIn(ip) || !ips.some(isNamedIn)
}

/** Returns the gateway of packets from that address: its own, or else that of a default route of the result, which the pod may lack. */
export function gatewayOf({ address, gateway }: IpConfig, { routes }: Result): Address | undefined {
  const isOfMain = (table = 0) => table === 0 || table === RT_TABLE_MAIN
  const own = routes.find(({ dst, gw, table }) => isDefault(dst) && isOfMain(table) && gw && contains(address, gw))
  return gateway ?? own?.gw
}
