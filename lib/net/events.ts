import { listAddresses } from "../netlink/route/address.ts"
import { type PortState, readLink, readPortState } from "../netlink/route/link.ts"
import type { Operstate } from "../netlink/route/link-attributes.ts"
import { RTNLGRP } from "../netlink/route/rtm.ts"
import { host } from "../sys/host.ts"
import { TimedOut } from "../sys/timed-out.ts"
import { Conflict } from "./conflict.ts"
import type { NetworkStack } from "./stack.ts"

/** Ample for the kernel to bring a port up or to end duplicate address detection. */
const EVENT_TIMEOUT_SECONDS = 5

/** Waits until traffic passes through the port (operstate up). Throws TimedOut after five seconds, Conflict if the port is gone. */
export function waitUntilUp(stack: NetworkStack, index: number): PortState {
  let state: Operstate = "unknown"
  const up = waitFor(stack, RTNLGRP.LINK, () => {
    const port = readPortState(stack.rtnetlink, index)
    if (!port)
      throw new Conflict("the bridge port vanished before it was up", "somebody removed it, or its pod; try again")
    state = port.operstate
    return state === "up" ? port : undefined
  })
  if (up) return up
  throw new TimedOut(`bridge port in error state: ${state}`, "compare both ends with ip -d link show")
}

/**
 * Waits until duplicate address detection has ended for all addresses of the link; it does not begin before there is a carrier. Throws
 * Conflict if one is a duplicate, TimedOut.
 */
export function waitForDetection(stack: NetworkStack, index: number, name: string): void {
  if (!readLink(stack.rtnetlink, index)?.carrier) return
  const done = waitFor(stack, RTNLGRP.IPV6_IFADDR, () => {
    const addresses = listAddresses(stack.rtnetlink, index)
    if (addresses.some(({ duplicate }) => duplicate)) {
      throw new Conflict(`IPv6 duplicate address detection failed on ${name}`, "another host has this address")
    }
    return addresses.some(({ tentative }) => tentative) ? undefined : true
  })
  if (!done && readLink(stack.rtnetlink, index)?.operstate === "up") {
    throw new TimedOut(
      `IPv6 addresses of ${name} are still tentative after ${EVENT_TIMEOUT_SECONDS} seconds`,
      "try again",
    )
  }
}

/** Returns what `read` finds, now or after one of the kernel's announcements to `group`; undefined if the time is up. */
function waitFor<Value>(stack: NetworkStack, group: number, read: () => Value | undefined): Value | undefined {
  const found = read()
  if (found !== undefined) return found
  using events = stack.listen(group)
  const deadline = host.uptime() + EVENT_TIMEOUT_SECONDS * 1000
  for (;;) {
    const value = read()
    if (value !== undefined || !events.waitForEvent((deadline - host.uptime()) / 1000)) return value
  }
}
