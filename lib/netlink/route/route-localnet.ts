import { findAttribute, sized } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import type { Message } from "../message.ts"
import { HEADER, writeHeader } from "./link-header.ts"
import { RTM } from "./rtm.ts"

const IFLA_AF_SPEC = 26
const AF_INET = 2
const IFLA_INET_CONF = 1

/** Counts from 1 in an array of u32. */
const IPV4_DEVCONF_ROUTE_LOCALNET = 26

/**
 * Returns true if the sysctl `route_localnet` of the link is set. To open the sysctl's file takes a hundred times as long on a node with a thousand
 * network namespaces, all of which have one of that path.
 */
export function hasRouteLocalnet(rtnetlink: Conversation, index: number): boolean {
  const request: Request = {
    asked: `read link ${index}`,
    type: RTM.GETLINK,
    write: (writer) => void writeHeader(writer, { index }),
  }
  try {
    return rtnetlink.get(request, isSet)
  } catch (error) {
    if (refusedWith(error, "ENODEV")) return false
    throw error
  }
}

function isSet({ payload }: Message): boolean {
  const families = findAttribute(payload, IFLA_AF_SPEC, HEADER)
  const ipv4 = families && findAttribute(families, AF_INET)
  const settings = ipv4 && findAttribute(ipv4, IFLA_INET_CONF)
  if (!settings) return false // a link without IPv4
  return sized(settings, 4 * IPV4_DEVCONF_ROUTE_LOCALNET).getUint32(4 * (IPV4_DEVCONF_ROUTE_LOCALNET - 1), true) !== 0
}
