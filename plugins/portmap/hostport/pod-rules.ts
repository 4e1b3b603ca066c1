import { type Address, addressBytes, type Family } from "../../../lib/ip/address.ts"
import { hostPrefix, networkOf, type Prefix } from "../../../lib/ip/prefix.ts"
import type { Expression } from "../../../lib/netlink/netfilter/expression.ts"
import {
  destination,
  destinationPort,
  dnat,
  masquerade,
  ofProtocol,
  redirected,
  source,
} from "../../../lib/netlink/netfilter/phrase.ts"
import { type Match, stepsOf } from "../packet-match.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"

/** What a pod wants of one family's host ports. */
export interface PodPorts {
  readonly family: Family
  /** The path of its network namespace. */
  readonly netns: string
  readonly address: Address
  /** With the length of its network: whoever is in there may be a neighbour who is answered directly. */
  readonly network: Prefix
  readonly mappings: readonly PortMapping[]
  /** What must be true of a packet to be led to the pod. */
  readonly conditions: readonly Match[]
  /** Who gets the node's address as source: nobody, those who could not get an answer without, everybody. */
  readonly masquerade: "none" | "needed" | "all"
}

/** `CONDITIONS [ip daddr HOSTIP] tcp dport HOSTPORT dnat to ADDRESS:PORT` */
export function mappingRule({ address, conditions }: PodPorts, mapping: PortMapping): Expression[] {
  const only = onlyAddress(mapping)
  return [
    ...stepsOf(conditions),
    ...(only ? destination(hostPrefix(only)) : []),
    ...ofProtocol(protocols[mapping.protocol]),
    ...destinationPort(mapping.hostPort),
    ...dnat(addressBytes(address), mapping.containerPort),
  ]
}

const LOCALHOST: Prefix = { address: { family: 4, value: 0x7f000001n }, length: 32 }

/**
 * `ip saddr NETWORK ip daddr ADDRESS ct status dnat masquerade` lets the pod and its neighbours reach it by the node's ports: a neighbour it
 * would answer directly, with an address that was not asked. `ip saddr 127.0.0.1 ip daddr ADDRESS masquerade` does so for the node's
 * programs. For `all` comes the first without NETWORK.
 */
export function masqueradeRules({ family, address, network, masquerade: wanted }: PodPorts): Expression[][] {
  if (wanted === "none") return []
  const toPod = destination(hostPrefix(address))
  const everybody = [...toPod, ...redirected(), masquerade]
  const rules = [network.length === 0 ? everybody : [...source(networkOf(network)), ...everybody]]
  if (family === 4) rules.push([...source(LOCALHOST), ...toPod, masquerade])
  if (wanted === "all") rules.push(everybody)
  return rules
}
