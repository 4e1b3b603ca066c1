import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Address, type Family, families, formatAddress } from "../../lib/ip/address.ts"
import type { Prefix } from "../../lib/ip/prefix.ts"
import type { Backend, PortmapConfig } from "./config.ts"
import type { Match } from "./packet-match.ts"
import { mappingsOf, type PortMapping } from "./port-mapping.ts"

/** The port mappings of a pod in one family, which may be none. */
export interface PodMappings {
  readonly family: Family
  /** The path of the pod's network namespace. */
  readonly netns: string
  readonly address: Address
  /** The address with the length of its network: the pod answers its neighbours in there directly. */
  readonly network: Prefix
  readonly mappings: readonly PortMapping[]
  /** The conditions that packets must meet to be led to the pod. */
  readonly conditions: readonly Match[]
  /** The senders whose packets get the node's address as source: nobody; those who would get no answer otherwise; everybody. */
  readonly masquerade: "none" | "needed" | "all"
}

/**
 * Returns the mappings of each family that the pod has an address of: a port that is published for both families is mapped in the one that
 * the pod has. By iptables a family without mappings counts too: the Go plugin makes a chain for it, and its CHECK wants that. Throws code 7
 * if no mapping can be served.
 */
export function planPodMappings(call: Call, config: PortmapConfig, result: Result, backend: Backend): PodMappings[] {
  const all: PodMappings[] = []
  const { netns } = call.environment
  for (const family of families) {
    const network = addressOf(call, result, family)
    const mappings = mappingsOf(config.mappings, family)
    if (!network || (mappings.length === 0 && backend === "nftables")) continue
    const masquerade = !config.snat ? "none" : config.masqAll ? "all" : "needed"
    const conditions = config.conditions[family]
    all.push({ family, netns, address: network.address, network, mappings, conditions, masquerade })
  }
  if (all.some(({ mappings }) => mappings.length > 0)) return all
  refuseUnserved(call, config, result)
  return []
}

/** Returns the pod's first address of the family. An address without an interface in prevResult counts as the pod's. */
function addressOf({ environment }: Call, { interfaces, ips }: Result, family: Family): Prefix | undefined {
  for (const ip of ips) {
    if (ip.address.address.family !== family) continue
    const named = ip.interface === undefined ? undefined : interfaces[ip.interface]
    if (!named || (named.name === environment.ifname && named.sandbox !== "")) return ip.address
  }
  return undefined
}

/** Throws code 7 if the pod has no address for its mappings. As in the Go plugin, it is no error if another interface has one. */
function refuseUnserved({ log, environment }: Call, { mappings }: PortmapConfig, { ips }: Result): void {
  const [mapping] = mappings
  if (!mapping) return
  if (ips.some(({ address }) => mappingsOf(mappings, address.address.family).length > 0)) {
    log.noticed(`no host port is mapped: prevResult has no address of ${environment.ifname}, but of other interfaces`)
    return
  }
  const path = "runtimeConfig.portMappings[0]"
  const { hostIp } = mapping
  if (!hostIp) throw invalidConfig(path, "the container has no IP address in prevResult")
  throw invalidConfig(
    `${path}.hostIP`,
    `the container has no IPv${hostIp.family} address to lead ${formatAddress(hostIp)} to`,
    `leave hostIP out, or give the container an IPv${hostIp.family} address`,
  )
}
