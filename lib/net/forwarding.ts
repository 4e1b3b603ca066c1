import type { Family } from "../ip/address.ts"
import { readSysctl, writeSysctl } from "./stack.ts"

/**
 * What it takes to let the node forward packets of that family: a step that does so, or undefined where it does already. Changes nothing
 * yet, but throws SystemError where the step would.
 */
export function planForwarding(family: Family): (() => void) | undefined {
  const name = family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  if (readSysctl(name) === "1") return undefined
  writeSysctl(name, "") // opens it for writing, no more
  return () => writeSysctl(name, "1")
}
