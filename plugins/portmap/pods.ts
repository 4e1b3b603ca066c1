import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Address, type Family, families, formatAddress } from "../../lib/ip/address.ts"
import type { PodPorts } from "../../lib/net/hostport/pod-rules.ts"
import { mappingsOf } from "../../lib/net/port-mapping.ts"
import type { PortmapConfig } from "./config.ts"

/** What is to be mapped, for each family that the pod has an address of. Throws code 7 where a mapping would lead nowhere. */
export function planPods(call: Call, config: PortmapConfig, result: Result): PodPorts[] {
  const pods: PodPorts[] = []
  for (const family of families) {
    const address = addressOf(call, result, family)
    const mappings = mappingsOf(config.mappings, family)
    if (!address || mappings.length === 0) continue
    const masquerade = !config.snat ? "none" : config.masqAll ? "all" : "needed"
    pods.push({ family, address, mappings, conditions: config.conditions[family], masquerade })
  }
  refuseUnserved(config, pods)
  return pods
}

/** The pod's first address of the family. One of which prevResult does not say whose it is will do. */
function addressOf({ environment }: Call, { interfaces, ips }: Result, family: Family): Address | undefined {
  for (const ip of ips) {
    if (ip.address.address.family !== family) continue
    const named = ip.interface === undefined ? undefined : interfaces[ip.interface]
    if (!named || (named.name === environment.ifname && named.sandbox !== "")) return ip.address.address
  }
  return undefined
}

function refuseUnserved({ mappings }: PortmapConfig, pods: readonly PodPorts[]): void {
  for (const [index, mapping] of mappings.entries()) {
    if (pods.some((pod) => pod.mappings.includes(mapping))) continue
    const path = `runtimeConfig.portMappings[${index}]`
    if (!mapping.hostIp) throw invalidConfig(path, "the container has no IP address in prevResult")
    const { family } = mapping.hostIp
    throw invalidConfig(
      `${path}.hostIP`,
      `the container has no IPv${family} address to lead ${formatAddress(mapping.hostIp)} to`,
      `leave hostIP out, or give the container an IPv${family} address`,
    )
  }
}
