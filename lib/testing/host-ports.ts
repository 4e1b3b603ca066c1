import type { PortmapConfig } from "../../plugins/portmap/config.ts"
import { layoutOf } from "../../plugins/portmap/hostport/layout.ts"
import { listPodRules } from "../../plugins/portmap/hostport/rule-list.ts"
import type { PodMappings } from "../../plugins/portmap/pod-mappings.ts"
import type { PortMapping } from "../../plugins/portmap/port-mapping.ts"
import { formatAddress, parseAddress } from "../ip/address.ts"
import { parsePrefix } from "../ip/prefix.ts"
import type { FakeNode } from "./fake-node.ts"

/** Returns a pod's mappings; `text` is its address with the length of its network. */
export function podMappings(
  text: string,
  mappings: readonly PortMapping[],
  more: Partial<PodMappings> = {},
): PodMappings {
  const network = parsePrefix(text)
  if (!network) throw new Error(text)
  const { address } = network
  const netns = `/run/netns/${formatAddress(address)}`
  return {
    family: address.family,
    netns,
    address,
    network,
    mappings,
    conditions: [],
    masquerade: "needed",
    ...more,
  }
}

/** Returns what the keys say that a configuration need not have. */
export function portmapConfig(more: Partial<PortmapConfig> = {}): PortmapConfig {
  return {
    backend: undefined,
    mappings: [],
    published: [],
    snat: true,
    masqAll: false,
    conditions: { 4: [], 6: [] },
    iptables: { conditions: { 4: {}, 6: {} }, markBit: 13, markChain: undefined },
    ...more,
  }
}

export function tcp(hostPort: number, hostIp?: string, containerPort = 80): PortMapping {
  return { protocol: "tcp", hostPort, containerPort, hostIp: hostIp === undefined ? undefined : parseAddress(hostIp) }
}

/** Lists where ports lead on a node, each as `CONTAINER, NETWORK INTERFACE: [ADDRESS:]PORT -> POD`. */
export function redirections(node: FakeNode): string[] {
  const rules = ([4, 6] as const).flatMap((family) => listPodRules(node.again().nfnetlink, layoutOf(family)))
  return rules.flatMap(({ comment, note, reading: { destination, destinationPort, to } }) => {
    const only = destination ? `${formatAddress(destination)}:` : ""
    return to ? [`${comment}, ${note}: ${only}${destinationPort} -> ${formatAddress(to)}`] : []
  })
}
