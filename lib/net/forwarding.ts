import { type Family, families } from "../ip/address.ts"
import { readLink } from "../netlink/route/link.ts"
import type { NetworkStack } from "./stack.ts"
import { listUplinks } from "./uplink.ts"

/**
 * Plans to let the node forward packets of that family: returns a step that does so, or undefined if it does already. Changes nothing yet,
 * but throws SystemError if the step would.
 */
export function planForwarding(host: NetworkStack, family: Family): (() => void) | undefined {
  const name = family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  if (host.readSysctl(name) === "1") return undefined
  host.writeSysctl(name, "") // opens it for writing, no more
  return () => {
    if (family === 6) keepAdvertisedRoutes(host)
    host.writeSysctl(name, "1")
  }
}

/**
 * Lets the node take router advertisements on its uplinks as before: once it forwards, it drops what it has learned from them and takes no
 * others if `accept_ra` is 1. Other links are left alone: pods may be behind them.
 */
function keepAdvertisedRoutes(host: NetworkStack): void {
  for (const index of listUplinks(host.rtnetlink, families)) {
    const name = `net/ipv6/conf/${readLink(host.rtnetlink, index)?.name}/accept_ra`
    if (host.readSysctl(name) === "1") host.writeSysctl(name, "2")
  }
}
