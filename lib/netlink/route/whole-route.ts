import type { Family } from "../../ip/address.ts"
import { formatPrefix } from "../../ip/prefix.ts"
import { eachAttribute, viewOf } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_APPEND, NLM_F_CREATE } from "../message.ts"
import type { Writer } from "../writer.ts"
import { decodeRoute, type Route, RT_TABLE_LOCAL, tableName } from "./route.ts"
import { AF, afOf, RTM } from "./rtm.ts"

/** A route with all that the kernel says of it, so that it can be made again in another table. */
export interface WholeRoute extends Route {
  /** The body of the RTM_NEWROUTE that described it. */
  readonly payload: Uint8Array
}

const HEADER = 12 // struct rtmsg
/** An exception that the kernel learnt, such as a path's MTU. */
const RTM_F_CLONED = 0x200
/** The gateway needs no route to it; the only flag of a route that is not the kernel's observation. */
const RTNH_F_ONLINK = 0x4
const RTA_TABLE = 15
/** RTA_CACHEINFO, RTA_TABLE and RTA_NH_ID: an observation, what is said anew, and what stands for the next hops that are said, too. */
const NOT_COPIED = [12, RTA_TABLE, 30]

/** Returns the routes of one family or both, and of all tables but the kernel's own. */
export function listWholeRoutes(rtnetlink: Conversation, only?: Family): WholeRoute[] {
  const request = {
    asked: "list routes",
    type: RTM.GETROUTE,
    write: (writer: Writer) =>
      void writer
        .u32(only ? afOf(only) : AF.UNSPEC)
        .u32(0)
        .u32(0),
  }
  return rtnetlink.dump(request, readWholeRoute).values
}

function readWholeRoute(message: Message): WholeRoute | undefined {
  const { type, payload } = message
  const family = payload[0]
  const isRoute = type === RTM.NEWROUTE && (family === AF.INET || family === AF.INET6)
  if (!isRoute || payload[4] === RT_TABLE_LOCAL) return undefined
  const route = decodeRoute(message)
  return flagsOf(payload) & RTM_F_CLONED ? undefined : { ...route, payload: payload.slice() }
}

/** Makes the route once more, in another table, behind others to the same destination. Throws EEXIST if that table has it. */
export function copyRoute(rtnetlink: Conversation, route: WholeRoute, table: number): void {
  rtnetlink.execute({
    asked: `add route ${formatPrefix(route.dst)} to table ${tableName(table)}`,
    type: RTM.NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_APPEND,
    write: (writer) => writeRoute(writer, route, table),
  })
}

/** Removes the route from a table, if that has it. */
export function removeRoute(rtnetlink: Conversation, route: WholeRoute, table: number): void {
  try {
    rtnetlink.execute({
      asked: `remove route ${formatPrefix(route.dst)} from table ${tableName(table)}`,
      type: RTM.DELROUTE,
      write: (writer) => writeRoute(writer, route, table),
    })
  } catch (error) {
    if (!refusedWith(error, "ESRCH")) throw error
  }
}

function writeRoute(writer: Writer, { payload }: WholeRoute, table: number): void {
  const small = table < 256 // one byte of the header has room for it
  const flags = flagsOf(payload) & RTNH_F_ONLINK
  writer.raw(payload.subarray(0, 4)).u8(small ? table : 0)
  writer.raw(payload.subarray(5, 8)).u32(flags)
  const rest = payload.subarray(HEADER)
  eachAttribute(rest, (type, start, end) => {
    if (!NOT_COPIED.includes(type)) writer.raw(rest.subarray(start - 4, end)).align()
  })
  if (!small) writer.u16(8).u16(RTA_TABLE).u32(table)
}

function flagsOf(payload: Uint8Array): number {
  return viewOf(payload).getUint32(8, true)
}
