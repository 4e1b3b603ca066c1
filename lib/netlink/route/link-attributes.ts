import {
  type AttributeSet,
  attributeSet,
  type Body,
  bytes,
  chosen,
  mac,
  nested,
  printed,
  text,
  u8,
  u16,
  u32,
  type Values,
} from "../attribute.ts"
import { nameOf } from "../print.ts"
import { linkHeader } from "./link-header.ts"

/*
 * The attributes of links, from linux/if_link.h: those that these plugins read or set.
 */

/** IFLA_BR_*: a bridge's own settings. */
export const bridgeData = attributeSet({
  vlanFiltering: [7, u8, "IFLA_BR_VLAN_FILTERING"],
  defaultPvid: [39, u16, "IFLA_BR_VLAN_DEFAULT_PVID"],
})

/** IFLA_BRPORT_*: a link's settings as a port of a bridge. */
export const portData = attributeSet({
  state: [1, u8, "IFLA_BRPORT_STATE"],
  hairpin: [4, u8, "IFLA_BRPORT_MODE"],
  isolated: [33, u8, "IFLA_BRPORT_ISOLATED"],
})

/** VETH_INFO_PEER: the other end, a link message of its own. */
export const vethData = attributeSet({ peer: [1, { ...bytes, inside: (): Body => linkBody }, "VETH_INFO_PEER"] })

/** IFLA_MACVLAN_*: a macvlan's own settings. */
export const macvlanData = attributeSet({
  mode: [1, printed(u32, (mode) => nameOf(macvlanModes, mode)), "IFLA_MACVLAN_MODE"],
  broadcastQueue: [7, u32, "IFLA_MACVLAN_BC_QUEUE_LEN"],
})

/** MACVLAN_MODE_*: the ways in which the macvlans of one link reach each other. */
export const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const
export type MacvlanMode = keyof typeof macvlanModes

/** IFLA_IPVLAN_*: an ipvlan's own settings. */
export const ipvlanData = attributeSet({
  mode: [1, printed(u16, (mode) => nameOf(ipvlanModes, mode)), "IFLA_IPVLAN_MODE"],
  flags: [2, u16, "IFLA_IPVLAN_FLAGS"],
})

/** IPVLAN_MODE_*: the layer at which the ipvlans of one link reach each other; `l3s` also passes the node's netfilter. */
export const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const
export type IpvlanMode = keyof typeof ipvlanModes

/** IFLA_VLAN_*: a VLAN interface's own settings. */
export const vlanData = attributeSet({ id: [1, u16, "IFLA_VLAN_ID"] })

/** IFLA_VRF_*: a VRF's own settings. */
export const vrfData = attributeSet({ table: [1, u32, "IFLA_VRF_TABLE"] })

/** IFLA_TUN_*: a tap's or tun's own settings. */
export const tunData = attributeSet({
  owner: [1, u32, "IFLA_TUN_OWNER"],
  group: [2, u32, "IFLA_TUN_GROUP"],
  type: [3, u8, "IFLA_TUN_TYPE"],
  multiQueue: [7, u8, "IFLA_TUN_MULTI_QUEUE"],
})

const kindData = {
  bridge: bridgeData,
  veth: vethData,
  macvlan: macvlanData,
  ipvlan: ipvlanData,
  vlan: vlanData,
  vrf: vrfData,
  tun: tunData,
}

/** IFLA_INFO_*: the kind of link, and the kind's settings, whose meaning depends on it. */
const linkInfo = attributeSet({
  kind: [1, text, "IFLA_INFO_KIND"],
  data: [2, chosen("IFLA_INFO_KIND", kindData), "IFLA_INFO_DATA"],
  portKind: [4, text, "IFLA_INFO_SLAVE_KIND"],
  portData: [5, chosen("IFLA_INFO_SLAVE_KIND", { bridge: portData }), "IFLA_INFO_SLAVE_DATA"],
})

/** IFLA_*: any link. */
const ofLinks = {
  mac: [1, mac, "IFLA_ADDRESS"],
  name: [3, text, "IFLA_IFNAME"],
  mtu: [4, u32, "IFLA_MTU"],
  peer: [5, u32, "IFLA_LINK"],
  master: [10, u32, "IFLA_MASTER"],
  transmitQueueLength: [13, u32, "IFLA_TXQLEN"],
  operstate: [16, printed(u8, operstateName), "IFLA_OPERSTATE"],
  info: [18, nested(linkInfo), "IFLA_LINKINFO"],
  alias: [20, text, "IFLA_IFALIAS"],
  group: [27, u32, "IFLA_GROUP"],
  namespace: [28, u32, "IFLA_NET_NS_FD"],
  extendedMask: [29, u32, "IFLA_EXT_MASK"],
  promiscuity: [30, u32, "IFLA_PROMISCUITY"],
  peerNamespace: [37, u32, "IFLA_LINK_NETNSID"],
  furtherName: [53, text, "IFLA_ALT_IFNAME"],
} as const
export const linkAttributes = attributeSet(ofLinks)

/** IFLA_INET6_*: what IPv6 has on the link. */
const ipv6 = attributeSet({
  addrGenMode: [8, printed(u8, (mode) => nameOf(addrGenModes, mode)), "IFLA_INET6_ADDR_GEN_MODE"],
})
const families = attributeSet({ ipv6: [10, nested(ipv6), "AF_INET6"] })
/** Not among those of any link, as the kernel tells hundreds of numbers there, which nobody reads. */
const ofFamilies = { families: [26, nested(families), "IFLA_AF_SPEC"] } as const
export const linkFamilies = attributeSet(ofFamilies)

/** IN6_ADDR_GEN_MODE_*: how the kernel makes the link's own IPv6 addresses. */
export const addrGenModes = { none: 1 } as const

/** Those that tell if traffic passes through a port of a bridge. */
export const portState = attributeSet({
  master: [10, u32, "IFLA_MASTER"],
  operstate: [16, u8, "IFLA_OPERSTATE"],
})

/** An RTM_NEWLINK and its like. */
export const linkBody: Body = {
  header: linkHeader,
  attributes: attributeSet({ ...ofLinks, ...ofFamilies }),
}

/** IF_OPER_* (RFC 2863); the index is the kernel's number. */
export const operstates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"] as const
export type Operstate = (typeof operstates)[number]

function operstateName(state: number): string | number {
  return operstates[state]?.toUpperCase() ?? state
}

export type LinkValues = typeof linkAttributes extends AttributeSet<infer T> ? Values<T> : never
