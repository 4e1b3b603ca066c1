import type { Address, Family } from "../ip/address.ts"
import type { Prefix } from "../ip/prefix.ts"
import { Conflict } from "../net/conflict.ts"
import { waitForDetection } from "../net/events.ts"
import type { NetworkStack, Sysctls } from "../net/stack.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { addAddress } from "../netlink/route/address.ts"
import { announceAddresses } from "../netlink/route/ip-settings.ts"
import { changeLink } from "../netlink/route/link.ts"
import { addRoute, type LinkRoute } from "../netlink/route/route.ts"

const NO_IPV6 = "boot the node without ipv6.disable=1, or give pods no IPv6 addresses"

/** The pod end of a link, and what it is to get. */
export interface PodInterface {
  readonly index: number
  readonly name: string
  readonly addresses: readonly { readonly prefix: Prefix; readonly gateway?: Address | undefined }[]
  /** Routes of the link itself, in the place of those to the networks of its addresses, which the kernel would make. */
  readonly linkRoutes?: readonly LinkRoute[]
  /** A route without gateway goes by the first gateway of its family, or on-link if there is none. */
  readonly routes: readonly LinkRoute[]
  /** Have the kernel detect duplicates of the IPv6 addresses, and wait until it has. */
  readonly detectDuplicates: boolean
}

/**
 * Gives the interface its addresses, sets it up and adds its routes. The kernel announces the IPv4 addresses as the link comes up,
 * so that neighbours forget who had them before. If one of these steps is refused, the kernel does those behind it all the same.
 */
export function configurePodInterface(pod: NetworkStack, wish: PodInterface): void {
  const { index, name, addresses, linkRoutes, detectDuplicates } = wish
  const hasIPv6 = addresses.some(({ prefix }) => prefix.address.family === 6)
  if (hasIPv6) pod.withSysctls((sysctls) => prepareSysctls(sysctls, wish))
  const { rtnetlink } = pod
  const waits = hasIPv6 && detectDuplicates
  rtnetlink.together(() => {
    announceAddresses(rtnetlink, index, name)
    for (const { prefix } of addresses) {
      const skipDetection = prefix.address.family === 6 && !detectDuplicates
      addAddress(rtnetlink, { index, link: name, prefix, skipDetection, withoutRoute: linkRoutes !== undefined })
    }
    changeLink(rtnetlink, index, name, { up: true })
    if (!waits) addRoutes(rtnetlink, wish)
  })
  if (!waits) return
  waitForDetection(pod, index, name)
  rtnetlink.together(() => addRoutes(rtnetlink, wish))
}

function prepareSysctls(sysctls: Sysctls, { name, detectDuplicates }: PodInterface): void {
  sysctls.trySysctl(`net/ipv6/conf/${name}/accept_dad`, detectDuplicates ? "1" : "0")
  if (detectDuplicates) sysctls.trySysctl(`net/ipv6/conf/${name}/enhanced_dad`, "1")
  for (const link of ["lo", name]) {
    const disabled = `net/ipv6/conf/${link}/disable_ipv6`
    const value = sysctls.readSysctl(disabled)
    if (value === undefined) throw new Conflict(`the kernel has no IPv6 for ${link} of the pod`, NO_IPV6)
    if (value !== "0") sysctls.writeSysctl(disabled, "0")
  }
  sysctls.writeSysctl(`net/ipv6/conf/${name}/keep_addr_on_down`, "1")
  sysctls.trySysctl(`net/ipv6/conf/${name}/ndisc_notify`, "1")
}

function addRoutes(rtnetlink: Conversation, { index, addresses, linkRoutes = [], routes }: PodInterface): void {
  for (const route of linkRoutes) addRoute(rtnetlink, index, route)
  const gatewayOf = (family: Family) => addresses.find(({ gateway }) => gateway?.family === family)?.gateway
  for (const route of routes) {
    addRoute(rtnetlink, index, { ...route, gateway: route.gateway ?? gatewayOf(route.dst.address.family) })
  }
}
