import { type Address, bits, type Family, formatAddress } from "../../ip/address.ts"
import { formatPrefix, type Prefix } from "../../ip/prefix.ts"
import { address, attributeSet, type Body, bytes, nested, printed, u32, WireError } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nameOf } from "../print.ts"
import { prefixIn } from "./prefix.ts"
import { AF, afOf, familyNames, RTM, scopeNames } from "./rtm.ts"

/** RTAX_*: per-route limits. */
const metrics = attributeSet({ mtu: [2, u32, "RTAX_MTU"], advmss: [8, u32, "RTAX_ADVMSS"] })

/** RTA_* from linux/rtnetlink.h. */
const attributes = attributeSet({
  dst: [1, address, "RTA_DST"],
  from: [2, address, "RTA_SRC"],
  oif: [4, u32, "RTA_OIF"],
  gateway: [5, address, "RTA_GATEWAY"],
  priority: [6, u32, "RTA_PRIORITY"],
  source: [7, address, "RTA_PREFSRC"],
  metrics: [8, nested(metrics), "RTA_METRICS"],
  multipath: [9, printed(bytes, printHops), "RTA_MULTIPATH"],
  table: [15, printed(u32, tableName), "RTA_TABLE"],
})

/** RTA_* of one next hop of a multipath route. */
const hopAttributes = attributeSet({ gateway: [5, address, "RTA_GATEWAY"] })

export const RT_TABLE_MAIN = 254
/** The kernel's own table: a host's addresses, broadcast and multicast. */
export const RT_TABLE_LOCAL = 255
export const RT_SCOPE_LINK = 253
export const RT_SCOPE_HOST = 254
const RTPROT_BOOT = 3
const RTN_UNICAST = 1
const RTN_LOCAL = 2
/** Types that refuse packets: RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW. In IPv6 they name `lo`. */
const REFUSING: readonly (number | undefined)[] = [6, 7, 8, 9]
/** RTNH_F_DEAD and RTNH_F_LINKDOWN. */
const HOP_DOWN = 0x01 | 0x10
const HEADER = 12 // struct rtmsg

/** RT_TABLE_*, RTPROT_* and RTN_* as `ip` calls them. */
const tableNames = { default: 253, main: RT_TABLE_MAIN, local: RT_TABLE_LOCAL } as const
const protocolNames = { redirect: 1, kernel: 2, boot: RTPROT_BOOT, static: 4, ra: 9, dhcp: 16 } as const
const typeNames = {
  unicast: RTN_UNICAST,
  local: RTN_LOCAL,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const

/** An RTM_NEWROUTE and its like. */
export const routeBody: Body = {
  header: {
    size: HEADER,
    print: (view) => ({
      family: nameOf(familyNames, view.getUint8(0)),
      dst_len: view.getUint8(1),
      table: tableName(view.getUint8(4)),
      protocol: nameOf(protocolNames, view.getUint8(5)),
      scope: nameOf(scopeNames, view.getUint8(6)),
      type: nameOf(typeNames, view.getUint8(7)),
    }),
  },
  attributes,
}

/** Returns the table as `ip` calls it. */
export function tableName(table: number): string | number {
  return nameOf(tableNames, table)
}

function printHops(payload: Uint8Array): object[] {
  return decodeHops(payload).map(({ gateway, ...hop }) => ({ ...hop, gateway: gateway && formatAddress(gateway) }))
}

/** A route out of one link. */
export interface LinkRoute {
  readonly dst: Prefix
  readonly gateway?: Address | undefined
  /** The address that packets are sent from if their sender names none. */
  readonly source?: Address | undefined
  readonly priority?: number | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  /** Absent: the main table. */
  readonly table?: number | undefined
  /** RT_SCOPE_*; absent: global. */
  readonly scope?: number | undefined
}

/** A next hop that packets may take. */
export interface NextHop {
  readonly index: number
  readonly gateway?: Address | undefined
  /** True for one of several hops if its link is down: the kernel takes the others. */
  readonly down?: boolean
}

/** A route as the kernel has it: with several hops if it is multipath, with none if it refuses packets (`unreachable`, ...). */
export interface Route {
  readonly dst: Prefix
  readonly table: number
  readonly priority: number
  /** The address that packets are sent from if their sender names none. */
  readonly source?: Address | undefined
  readonly hops: readonly NextHop[]
}

/** Adds a route. The same destination by another gateway may exist; an exact duplicate throws EEXIST. */
export function addRoute(rtnetlink: Conversation, index: number, route: LinkRoute): void {
  changeRoute(rtnetlink, index, route, { verb: "add", type: RTM.NEWROUTE, flags: NLM_F_CREATE })
}

/** Adds a route; any other to the same destination, of the same priority, throws EEXIST. */
export function createRoute(rtnetlink: Conversation, index: number, route: LinkRoute): void {
  changeRoute(rtnetlink, index, route, { verb: "add", type: RTM.NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL })
}

/** Removes a route. Throws ESRCH if it is not there. */
export function deleteRoute(rtnetlink: Conversation, index: number, route: LinkRoute): void {
  changeRoute(rtnetlink, index, route, { verb: "remove", type: RTM.DELROUTE, flags: 0 })
}

interface RouteChange {
  readonly verb: string
  readonly type: number
  readonly flags: number
}

function changeRoute(rtnetlink: Conversation, index: number, route: LinkRoute, change: RouteChange): void {
  const { dst, gateway, source, priority, mtu, advmss, table = RT_TABLE_MAIN, scope = 0 } = route
  const { verb, type, flags } = change
  rtnetlink.execute({
    asked: `${verb} route ${formatPrefix(dst)}`,
    type,
    flags,
    write(writer) {
      const small = table < 256 // one byte of the header has room for it
      const kind = (small ? table : 0) | (RTPROT_BOOT << 8) | (scope << 16) | (RTN_UNICAST << 24)
      writer
        .u32(afOf(dst.address.family) | (dst.length << 8))
        .u32(kind)
        .u32(0)
      attributes.write(writer, {
        dst: dst.address,
        oif: index,
        gateway,
        source,
        priority: priority || undefined,
        metrics: mtu || advmss ? { mtu: mtu || undefined, advmss: advmss || undefined } : undefined,
        table: small ? undefined : table,
      })
    },
  })
}

/** Returns the routes of a family in one table; only those out of one link if it is given. */
export function listRoutes(rtnetlink: Conversation, family: Family, table: number, index?: number): Route[] {
  const routes = dumpRoutes(rtnetlink, family, table, index)
  return routes.filter((route) => route.table === table && (index === undefined || leavesBy(route, index)))
}

/** Returns the routes of a family out of one link, of all tables but the kernel's own. */
export function listLinkRoutes(rtnetlink: Conversation, family: Family, index: number): Route[] {
  const routes = dumpRoutes(rtnetlink, family, undefined, index)
  return routes.filter((route) => route.table !== RT_TABLE_LOCAL && leavesBy(route, index))
}

function leavesBy({ hops }: Route, index: number): boolean {
  return hops.some((hop) => hop.index === index)
}

function dumpRoutes(rtnetlink: Conversation, family: Family, table: number | undefined, index?: number): Route[] {
  try {
    const request: Request = {
      asked: `list IPv${family} routes`,
      type: RTM.GETROUTE,
      write(writer) {
        writer.u32(afOf(family)).u32(0).u32(0)
        attributes.write(writer, { oif: index, table })
      },
    }
    return rtnetlink.dump(request, (message) => (message.type === RTM.NEWROUTE ? decodeRoute(message) : undefined))
      .values
  } catch (error) {
    if (refusedWith(error, "ENOENT")) return [] // no such table
    throw error
  }
}

/** The route that packets to an address take. */
export interface FoundRoute {
  /** The index of the link; that of `lo` if the address is this host's own. */
  readonly index: number
  /** True if the address is this host's own. */
  readonly local: boolean
}

/** Returns the route to an address, of packets from `source` if it is given, which is this host's own; undefined if there is none. */
export function lookupRoute(rtnetlink: Conversation, destination: Address, source?: Address): FoundRoute | undefined {
  try {
    const request: Request = {
      asked: `find the way to ${formatAddress(destination)}`,
      type: RTM.GETROUTE,
      write(writer) {
        const { family } = destination
        const lengths = bits(family) | ((source ? bits(family) : 0) << 8)
        writer
          .u32(afOf(family) | (lengths << 8))
          .u32(0)
          .u32(0)
        attributes.write(writer, { dst: destination, from: source })
      },
    }
    return rtnetlink.get(request, ({ payload }) => ({
      index: attributes.read(payload, HEADER).oif ?? 0,
      local: payload[7] === RTN_LOCAL,
    }))
  } catch (error) {
    if (refusedWith(error, "ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EACCES")) return undefined
    throw error
  }
}

/** Returns the route that an RTM_NEWROUTE describes. Throws WireError. */
export function decodeRoute({ payload }: Message): Route {
  if (payload.length < HEADER) throw new WireError("route message cut short", payload.byteOffset)
  const family: Family = payload[0] === AF.INET ? 4 : 6
  const values = attributes.read(payload, HEADER)
  const only = { index: values.oif ?? 0, gateway: values.gateway }
  const hops = values.multipath ? decodeHops(values.multipath) : REFUSING.includes(payload[7]) ? [] : [only]
  return {
    dst: prefixIn(payload, values.dst ?? { family, value: 0n }),
    table: values.table ?? payload[4] ?? 0,
    priority: values.priority ?? 0,
    source: values.source,
    hops,
  }
}

/** Reads struct rtnexthop: length 2, flags 1, hops 1, index 4, then attributes. */
function decodeHops(payload: Uint8Array): NextHop[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const hops: NextHop[] = []
  for (let at = 0; at + 8 <= payload.length; ) {
    const length = view.getUint16(at, true)
    if (length < 8 || at + length > payload.length) {
      throw new WireError(`next hop of length ${length}`, payload.byteOffset + at)
    }
    const { gateway } = hopAttributes.read(payload, at + 8, at + length)
    const down = (view.getUint8(at + 2) & HOP_DOWN) !== 0
    hops.push({ index: view.getInt32(at + 4, true), gateway, ...(down && { down }) })
    at += (length + 3) & ~3
  }
  return hops
}
