import { attachmentOf } from "../cni/attachment.ts"
import { changed } from "../cni/errors.ts"
import type { Call } from "../cni/plugin.ts"
import type { Interface, IpConfig, Result, Route } from "../cni/result.ts"
import { bits, type Family, sameAddress } from "../ip/address.ts"
import { formatMac } from "../ip/mac.ts"
import { formatPrefix, isDefault, networkOf, onlyFamily, samePrefix } from "../ip/prefix.ts"
import type { NetworkStack } from "../net/stack.ts"
import { listAddresses } from "../netlink/route/address.ts"
import { type Link, readLink } from "../netlink/route/link.ts"
import { type Route as KernelRoute, listLinkRoutes, listRoutes, RT_TABLE_MAIN } from "../netlink/route/route.ts"
import { isHostEnd } from "./host-end.ts"

/** The pod's interface, and its position in the result's list. */
export interface CheckedInterface {
  readonly link: Link
  readonly position: number
}

/** Returns the pod's interface; throws unless it is there, of that kind (`veth`, ...; undefined: any) and with the MAC address that the result says. */
export function checkPodInterface(pod: NetworkStack, call: Call, result: Result, kind?: string): CheckedInterface {
  const { ifname, netns } = call.environment
  const position = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox === netns)
  const listed = result.interfaces[position]
  if (!listed) throw changed(`interface ${ifname} of ${netns} is not in prevResult`)
  const link = readLink(pod.rtnetlink, ifname)
  if (!link) throw changed(`interface ${ifname} is gone from ${netns}`)
  if (kind !== undefined && link.kind !== kind)
    throw changed(`interface ${ifname} is not a ${kind} but ${link.kind || "hardware"}`)
  compareMac(link, listed)
  return { link, position }
}

interface Stacks {
  readonly host: NetworkStack
  readonly pod: NetworkStack
}

/**
 * Returns the veth's other end on the node: the one in the result, with the MAC address that the result says, and not one that the pod only
 * names. It may bear the Go plugin's name, so it is found by its peer.
 */
export function checkHostEnd({ host, pod }: Stacks, inPod: Link, call: Call, result: Result): Link {
  const veth = readLink(host.rtnetlink, inPod.peer)
  const listed = result.interfaces.find(({ name, sandbox }) => name === veth?.name && sandbox === "")
  if (veth?.peer !== inPod.index || !listed || !isHostEnd(host, veth, attachmentOf(call), pod.namespace?.fd)) {
    throw changed(`the host end of ${inPod.name} is not the one in prevResult`)
  }
  compareMac(veth, listed)
  return veth
}

/** Returns the addresses of the interface at that position: those that the result gives to it, or to none in particular. */
export function ownIps({ ips }: Result, position: number): IpConfig[] {
  return ips.filter((ip) => ip.interface === undefined || ip.interface === position)
}

/** Throws if the result says another MAC address than the link's. */
export function compareMac(link: Link, listed: Interface): void {
  const mac = formatMac(link.mac)
  if (listed.mac !== "" && listed.mac.toLowerCase() !== mac) {
    throw changed(`MAC address of ${link.name} is ${mac}, not ${listed.mac}`)
  }
}

/** Throws, naming the first difference, unless the pod's interface has its addresses and the pod has every route of the result. */
export function checkPodNetwork(pod: NetworkStack, checked: CheckedInterface, result: Result): void {
  const routes = routesOf(pod, checked.link)
  checkAddresses(pod, checked, result, routes)
  checkRoutes(checked, result, routes)
}

/** Returns the routes of a table, or those by the pod's interface of all tables. */
type Routes = (family: Family, table: number | "any") => readonly KernelRoute[]

/** Throws unless every address that the result gives to the interface is on it, and its network is reached by it. */
function checkAddresses(pod: NetworkStack, { link, position }: CheckedInterface, result: Result, routes: Routes): void {
  const expected = ownIps(result, position)
  if (expected.length === 0) return
  const present = listAddresses(pod.rtnetlink, link.index, onlyFamily(expected.map(({ address }) => address)))
  for (const { address } of expected) {
    if (!present.some(({ prefix }) => samePrefix(prefix, address))) {
      throw changed(`address ${formatPrefix(address)} is missing on ${link.name}`)
    }
    const { family } = address.address
    if (address.length === bits(family)) continue // a single address has no network to be reached
    const network = networkOf(address)
    if (!isRouted(routes, { dst: network })) {
      throw changed(`route to ${formatPrefix(network)} of ${link.name} is missing`)
    }
  }
}

/** Throws unless every route of the result exists. Of default routes only the destination counts: later plugins may redirect them. */
function checkRoutes({ link }: CheckedInterface, result: Result, routes: Routes): void {
  for (const route of result.routes) {
    if (!isRouted(routes, route)) {
      throw changed(`route ${formatPrefix(route.dst)} of ${link.name} is missing or goes another way`)
    }
  }
}

/** Says if the route is in its table or, if that is the main one, in another: later plugins (`sbr`, `vrf`) move all routes of an interface. */
function isRouted(routes: Routes, wanted: Route): boolean {
  const { family } = wanted.dst.address
  const table = wanted.table || RT_TABLE_MAIN
  if (routes(family, table).some((present) => serves(present, wanted))) return true
  return table === RT_TABLE_MAIN && routes(family, "any").some((present) => serves(present, wanted))
}

/** Returns a reader of the pod's routes, which reads each table of a family once. */
function routesOf({ rtnetlink }: NetworkStack, { index }: Link): Routes {
  const read = new Map<string, readonly KernelRoute[]>()
  return (family, table) => {
    const key = `${family} ${table}`
    const list = () =>
      table === "any" ? listLinkRoutes(rtnetlink, family, index) : listRoutes(rtnetlink, family, table)
    const routes = read.get(key) ?? list()
    read.set(key, routes)
    return routes
  }
}

/** Says if a route does what was wanted. The kernel clears a destination's host bits. */
function serves(present: KernelRoute, { dst, gw }: Route): boolean {
  if (!samePrefix(present.dst, networkOf(dst)) || present.hops.length === 0) return false
  if (isDefault(dst) || !gw) return true
  return present.hops.some(({ gateway }) => gateway && sameAddress(gateway, gw))
}
