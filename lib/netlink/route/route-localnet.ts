import { findAttribute, sized } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import type { Message } from "../message.ts"
import { askForLink } from "./link.ts"
import { HEADER } from "./link-header.ts"

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
  return askForLink(rtnetlink, index, isSet) ?? false
}

function isSet({ payload }: Message): boolean {
  const families = findAttribute(payload, IFLA_AF_SPEC, HEADER)
  const ipv4 = families && findAttribute(families, AF_INET)
  const settings = ipv4 && findAttribute(ipv4, IFLA_INET_CONF)
  if (!settings) return false // a link without IPv4
  return sized(settings, 4 * IPV4_DEVCONF_ROUTE_LOCALNET).getUint32(4 * (IPV4_DEVCONF_ROUTE_LOCALNET - 1), true) !== 0
}
