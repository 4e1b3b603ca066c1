import type { Address } from "../ip/address.ts"
import { readLink } from "../netlink/route/link.ts"
import { readWay } from "../netlink/route/route.ts"
import { type NetworkStack, readSysctl, writeSysctl } from "./stack.ts"

/**
 * What it takes to let packets from 127.0.0.1 leave for the pod: a step that does so, or undefined where they may already or there is no
 * way to the pod. Changes nothing yet, but throws SystemError where the step would.
 */
export function planRouteLocalnet(host: NetworkStack, pod: Address): (() => void) | undefined {
  const way = readWay(host.kernel, pod)
  const link = way && readLink(host.kernel, way.index)
  if (!link) return undefined
  const name = `net/ipv4/conf/${link.name}/route_localnet`
  if (readSysctl(name) === "1") return undefined
  writeSysctl(name, "") // opens it for writing, no more
  return () => writeSysctl(name, "1")
}
