import { type Address, type Family, formatAddress } from "../../lib/ip/address.ts"
import { PROTOCOL_NAMES } from "../../lib/netlink/netfilter/xtables/rule.ts"

/** IPPROTO_* */
export const protocols = { tcp: 6, udp: 17, sctp: 132, dccp: 33, udplite: 136 } as const
export type Protocol = keyof typeof protocols

/** Returns false for protocols of which the rules of iptables here know no ports. */
export function isKnownToIptables({ protocol }: HostPort): boolean {
  return Object.hasOwn(PROTOCOL_NAMES, protocols[protocol])
}

/** A port of the node. */
export interface HostPort {
  readonly protocol: Protocol
  readonly hostPort: number
}

/** One port of the node that leads to a port of a pod. */
export interface PortMapping extends HostPort {
  readonly containerPort: number
  /** One address of the node, or all of a family (`0.0.0.0`, `::`); absent: every address. */
  readonly hostIp?: Address | undefined
}

/** Returns protocol and port as one number, a key for maps: a pod may have tens of thousands of ports. */
export function portKey(protocol: number, port: number): number {
  return (protocol << 16) | port
}

/** Groups the items by key, in their order. */
export function groupByPort<Item>(items: readonly Item[], keyOf: (item: Item) => number): Map<number, Item[]> {
  const groups = new Map<number, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

/** Returns the mappings that apply to the family. */
export function mappingsOf(mappings: readonly PortMapping[], family: Family): PortMapping[] {
  return mappings.filter(({ hostIp }) => hostIp === undefined || hostIp.family === family)
}

/** Returns the address of the node that packets must be for, or undefined if it is any. */
export function onlyAddress({ hostIp }: Pick<PortMapping, "hostIp">): Address | undefined {
  return hostIp?.value === 0n ? undefined : hostIp
}

/** Returns `80/tcp`, or `192.0.2.1:80/tcp` for a mapping of one address. */
export function formatHostPort(mapping: Omit<PortMapping, "containerPort">): string {
  const address = onlyAddress(mapping)
  const port = `${mapping.hostPort}/${mapping.protocol}`
  if (!address) return port
  const text = formatAddress(address)
  return address.family === 4 ? `${text}:${port}` : `[${text}]:${port}`
}
