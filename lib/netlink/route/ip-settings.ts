import { attributeSet, type Body, bytes, encode, nested, sized, u32 } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { HEADER, linkHeader, writeHeader } from "./link-header.ts"
import { RTM } from "./rtm.ts"

/*
 * The sysctls of a link below net/ipv4/conf and net/ipv6/conf by netlink, as far as the kernel lets it. To open a sysctl's file takes the longer
 * the more network namespaces there are: all have a directory of that path, and the kernel looks for its own among those that were ever opened.
 */

/** IFLA_INET_* and IFLA_INET6_*: what each family has on a link, of which the settings are one array of u32. */
const ipv4Told = attributeSet({ settings: [1, bytes, "IFLA_INET_CONF"] })
const ipv6Told = attributeSet({ settings: [2, bytes, "IFLA_INET6_CONF"] })
const familiesTold = attributeSet({ ipv4: [2, nested(ipv4Told), "AF_INET"], ipv6: [10, nested(ipv6Told), "AF_INET6"] })
const told = attributeSet({ families: [26, nested(familiesTold), "IFLA_AF_SPEC"] })

/** The place of a setting in its family's array. */
const PLACE = {
  routeLocalnet: { family: "ipv4", at: 25 }, // IPV4_DEVCONF_ROUTE_LOCALNET, which counts from 1
  acceptRa: { family: "ipv6", at: 3 }, // DEVCONF_ACCEPT_RA, which counts from 0
} as const

/** Returns the setting as an RTM_NEWLINK tells it, undefined if the link does not have that family. Throws WireError. */
export function ipSettingIn(payload: Uint8Array, setting: keyof typeof PLACE): number | undefined {
  const { family, at } = PLACE[setting]
  const settings = told.read(payload, HEADER).families?.[family]?.settings
  return settings && sized(settings, 4 * (at + 1)).getUint32(4 * at, true)
}

/** IPV4_DEVCONF_*, as they are set: what a link tells of itself is no list of attributes. */
const ipv4Settings = attributeSet({ arpNotify: [22, u32, "IPV4_DEVCONF_ARP_NOTIFY"] })
const ipv4 = attributeSet({ settings: [1, nested(ipv4Settings), "IFLA_INET_CONF"] })
const families = attributeSet({ ipv4: [2, nested(ipv4), "AF_INET"] })
const settingsLink = attributeSet({ families: [26, nested(families), "IFLA_AF_SPEC"] })

/** An RTM_SETLINK that sets them. */
export const settingsBody: Body = { header: linkHeader, attributes: settingsLink }

const ANNOUNCE = encode(settingsLink, { families: { ipv4: { settings: { arpNotify: 1 } } } })

/** Sets the sysctl `arp_notify` of the link, which is down: the kernel announces its IPv4 addresses as it comes up. Throws KernelError. */
export function announceAddresses(rtnetlink: Conversation, index: number, name: string): void {
  rtnetlink.execute({
    asked: `have link ${name} announce its addresses`,
    type: RTM.SETLINK,
    write: (writer) => void writeHeader(writer, { index }).raw(ANNOUNCE),
  })
}
