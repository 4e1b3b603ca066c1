import type { Family } from "../ip/address.ts"
import { readSysctl, writeSysctl } from "./stack.ts"

/** Lets the node forward packets of that family. Nothing is written where it does so already. */
export function enableForwarding(family: Family): void {
  const name = family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  if (readSysctl(name) !== "1") writeSysctl(name, "1")
}
