import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Family, families, formatAddress } from "../../lib/ip/address.ts"
import type { Prefix } from "../../lib/ip/prefix.ts"
import type { PortmapConfig } from "./config.ts"
import type { PodPorts } from "./hostport/pod-rules.ts"
import { mappingsOf } from "./port-mapping.ts"

/**
 * What is to be mapped, for each family that the pod has an address of: who publishes a port for both gets it for the one that there is.
 * Throws code 7 where no mapping would lead anywhere.
 */
export function planPods(call: Call, config: PortmapConfig, result: Result): PodPorts[] {
  const pods: PodPorts[] = []
  const { netns } = call.environment
  for (const family of families) {
    const network = addressOf(call, result, family)
    const mappings = mappingsOf(config.mappings, family)
    if (!network || mappings.length === 0) continue
    const masquerade = !config.snat ? "none" : config.masqAll ? "all" : "needed"
    const conditions = config.conditions[family]
    pods.push({ family, netns, address: network.address, network, mappings, conditions, masquerade })
  }
  if (pods.length === 0) refuseUnserved(call, config, result)
  return pods
}

/** The pod's first address of the family. One of which prevResult does not say whose it is will do. */
function addressOf({ environment }: Call, { interfaces, ips }: Result, family: Family): Prefix | undefined {
  for (const ip of ips) {
    if (ip.address.address.family !== family) continue
    const named = ip.interface === undefined ? undefined : interfaces[ip.interface]
    if (!named || (named.name === environment.ifname && named.sandbox !== "")) return ip.address
  }
  return undefined
}

/** An address that is another interface's is none to lead ports to, but, as for the Go plugin, no reason to refuse the pod either. */
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
