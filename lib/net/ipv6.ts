import type { Conversation } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { changeLink, type Link, type LinkChange, readLink } from "../netlink/route/link.ts"
import type { NetworkStack } from "./stack.ts"

/**
 * Keeps the node from learning routes and addresses on a link that leads to pods: who sends router advertisements there is no router. To be
 * called before the link is up. Throws SystemError if the link would accept them all the same; one without IPv6 does not.
 */
export function refuseAdvertisements(host: NetworkStack, link: string): void {
  const setting = (key: string) => `net/ipv6/conf/${link}/${key}`
  try {
    host.writeSysctl(setting("accept_ra"), "0")
  } catch (error) {
    const listens = (host.readSysctl(setting("accept_ra")) ?? "0") !== "0"
    if (listens && host.readSysctl(setting("disable_ipv6")) !== "1") throw error
  }
}

/**
 * Changes a link, and keeps the kernel from giving it an IPv6 address of its own from then on. It is for links that need none: what the kernel
 * does for one more address grows with their number. The sysctl `disable_ipv6` would do as well, but a write to it does not wait in line for the
 * kernel's lock: it is tried again and again until nobody else has it.
 */
export function changeWithoutAddress(
  rtnetlink: Conversation,
  { index, name }: Pick<Link, "index" | "name">,
  change: LinkChange,
): void {
  try {
    changeLink(rtnetlink, index, name, { ...change, addrGenMode: "none" })
  } catch (error) {
    if (!refusedWith(error, "EAFNOSUPPORT")) throw error
    changeLink(rtnetlink, index, name, change) // it has no IPv6 at all
  }
}

/** The least MTU that IPv6 works with (RFC 8200): a link with less has no IPv6 in the kernel. */
export const IPV6_LEAST_MTU = 1280

/**
 * Lets a link of the node that is the pods' gateway have IPv6 addresses: raises an MTU that is too small, of a veth's other end on the node
 * too, and switches IPv6 on if the node makes its links without. The link-local address is usable at once.
 */
export function admitIPv6(
  host: NetworkStack,
  { index, name, kind, peer, mtu }: Pick<Link, "index" | "name" | "kind" | "peer" | "mtu">,
): void {
  const { rtnetlink } = host
  const setting = (key: string) => `net/ipv6/conf/${name}/${key}`
  if (mtu < IPV6_LEAST_MTU) {
    const port = kind === "veth" ? readLink(rtnetlink, peer) : undefined
    if (port) changeLink(rtnetlink, port.index, port.name, { mtu: IPV6_LEAST_MTU })
    changeLink(rtnetlink, index, name, { mtu: IPV6_LEAST_MTU })
    host.trySysctl(setting("disable_ipv6"), "1") // the kernel has begun to detect duplicates, and to listen to routers
  }
  if (host.readSysctl(setting("disable_ipv6")) !== "1") return
  host.trySysctl(setting("accept_dad"), "0")
  refuseAdvertisements(host, name)
  host.writeSysctl(setting("disable_ipv6"), "0")
}
