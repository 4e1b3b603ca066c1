import { attributeSet, bytes, nested, sized } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import type { Message } from "../message.ts"
import { askForLink } from "./link.ts"
import { HEADER } from "./link-header.ts"

/** IFLA_INET_*, of AF_INET in IFLA_AF_SPEC: what IPv4 has on a link, of which the settings are one array. */
const ipv4OfLink = attributeSet({ settings: [1, bytes, "IFLA_INET_CONF"] })
const familiesOfLink = attributeSet({ ipv4: [2, nested(ipv4OfLink), "AF_INET"] })
const partsOfLink = attributeSet({ families: [26, nested(familiesOfLink), "IFLA_AF_SPEC"] })

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
  const settings = partsOfLink.read(payload, HEADER).families?.ipv4?.settings
  if (!settings) return false // a link without IPv4
  return sized(settings, 4 * IPV4_DEVCONF_ROUTE_LOCALNET).getUint32(4 * (IPV4_DEVCONF_ROUTE_LOCALNET - 1), true) !== 0
}
