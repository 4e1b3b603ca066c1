/** RTM_* from linux/rtnetlink.h. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
  NEWNSID: 88,
  GETNSID: 90,
} as const

/** RTNLGRP_*: multicast groups that announce changes. */
export const RTNLGRP = { LINK: 1, IPV6_IFADDR: 9 } as const

/** Address families as the kernel counts them; AF_BRIDGE selects a bridge port's own settings. */
export const AF = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const

/** The families as `ip` calls them. */
export const familyNames = { unspec: AF.UNSPEC, inet: AF.INET, bridge: AF.BRIDGE, inet6: AF.INET6 } as const

/** RT_SCOPE_* as `ip` calls them. */
export const scopeNames = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const

/** Returns the kernel's number of the family. */
export function afOf(family: 4 | 6): number {
  return family === 4 ? AF.INET : AF.INET6
}
