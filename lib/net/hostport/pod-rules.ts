import { type Address, addressBytes, type Family } from "../../ip/address.ts"
import { hostPrefix, type Prefix } from "../../ip/prefix.ts"
import type { Expression } from "../../netlink/netfilter/expression.ts"
import {
  destination,
  destinationPort,
  dnat,
  masquerade,
  ofProtocol,
  redirected,
  source,
} from "../../netlink/netfilter/phrase.ts"
import { type Match, stepsOf } from "../packet-match.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"

/** What a pod wants of one family's host ports. */
export interface PodPorts {
  readonly family: Family
  readonly address: Address
  readonly mappings: readonly PortMapping[]
  /** What must be true of a packet to be led to the pod. */
  readonly conditions: readonly Match[]
  /** Who gets the node's address as source: nobody, those who could not get an answer without, everybody. */
  readonly masquerade: "none" | "needed" | "all"
}

/** `CONDITIONS [ip daddr HOSTIP] tcp dport HOSTPORT dnat to ADDRESS:PORT`, one rule per mapping. */
export function mappingRules({ address, mappings, conditions }: PodPorts): Expression[][] {
  return mappings.map((mapping) => {
    const only = onlyAddress(mapping)
    return [
      ...stepsOf(conditions),
      ...(only ? destination(hostPrefix(only)) : []),
      ...ofProtocol(protocols[mapping.protocol]),
      ...destinationPort(mapping.hostPort),
      ...dnat(addressBytes(address), mapping.containerPort),
    ]
  })
}

const LOCALHOST: Prefix = { address: { family: 4, value: 0x7f000001n }, length: 32 }

/**
 * `ip saddr ADDRESS ip daddr ADDRESS masquerade` lets the pod reach itself by the node's ports, the same from 127.0.0.1 the node's
 * programs. For `all` comes `ip daddr ADDRESS ct status dnat masquerade`.
 */
export function masqueradeRules({ family, address, masquerade: wanted }: PodPorts): Expression[][] {
  if (wanted === "none") return []
  const toPod = destination(hostPrefix(address))
  const rules = [[...source(hostPrefix(address)), ...toPod, masquerade]]
  if (family === 4) rules.push([...source(LOCALHOST), ...toPod, masquerade])
  if (wanted === "all") rules.push([...toPod, ...redirected(), masquerade])
  return rules
}
