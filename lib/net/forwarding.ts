import { type Family, families } from "../ip/address.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { readLink } from "../netlink/route/link.ts"
import { type NetworkStack, readSysctl, writeSysctl } from "./stack.ts"
import { listUplinks } from "./uplink.ts"

/**
 * What it takes to let the node forward packets of that family: a step that does so, or undefined where it does already. Changes nothing
 * yet, but throws SystemError where the step would.
 */
export function planForwarding({ rtnetlink }: NetworkStack, family: Family): (() => void) | undefined {
  const name = family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  if (readSysctl(name) === "1") return undefined
  writeSysctl(name, "") // opens it for writing, no more
  return () => {
    if (family === 6) keepAdvertisedRoutes(rtnetlink)
    writeSysctl(name, "1")
  }
}

/**
 * Lets the node take router advertisements on its uplinks as before: once it forwards, it drops what it has learned from them and takes no
 * others where `accept_ra` is 1. Other links are left alone: pods may be behind them.
 */
function keepAdvertisedRoutes(rtnetlink: Conversation): void {
  for (const index of listUplinks(rtnetlink, families)) {
    const name = `net/ipv6/conf/${readLink(rtnetlink, index)?.name}/accept_ra`
    if (readSysctl(name) === "1") writeSysctl(name, "2")
  }
}
