import { addressBytes } from "../../../lib/ip/address.ts"
import { hostPrefix, networkOf } from "../../../lib/ip/prefix.ts"
import type { Step } from "../../../lib/netlink/netfilter/expression.ts"
import {
  destination,
  destinationPort,
  dnat,
  masquerade,
  ofProtocol,
  redirected,
  source,
} from "../../../lib/netlink/netfilter/phrase.ts"
import { expressionsOf } from "../packet-match.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { onlyAddress, type PortMapping, protocols } from "../port-mapping.ts"

/** Returns the rule `CONDITIONS [ip daddr HOSTIP] tcp dport HOSTPORT dnat to ADDRESS:PORT`. */
export function mappingRule({ address, conditions }: PodMappings, mapping: PortMapping): Step[] {
  const only = onlyAddress(mapping)
  return [
    ...expressionsOf(conditions),
    ...(only ? destination(hostPrefix(only)) : []),
    ...ofProtocol(protocols[mapping.protocol]),
    ...destinationPort(mapping.hostPort),
    ...dnat(addressBytes(address), mapping.containerPort),
  ]
}

const FROM_LOCALHOST = source({ address: { family: 4, value: 0x7f000001n }, length: 32 })

/**
 * Returns the rules that let others reach the pod by the node's ports. `ip saddr NETWORK ip daddr ADDRESS ct status dnat masquerade` is for
 * the pod itself and its neighbours, whom it would otherwise answer directly, from an address that they did not ask.
 * `ip saddr 127.0.0.1 ip daddr ADDRESS masquerade` is for the node's programs. `all` adds the first rule without NETWORK.
 */
export function hostportMasqueradeRules({ family, address, network, masquerade: wanted }: PodMappings): Step[][] {
  if (wanted === "none") return []
  const toPod = destination(hostPrefix(address))
  const everybody = [...toPod, ...redirected(), masquerade]
  const rules = [network.length === 0 ? everybody : [...source(networkOf(network)), ...everybody]]
  if (family === 4) rules.push([...FROM_LOCALHOST, ...toPod, masquerade])
  if (wanted === "all") rules.push(everybody)
  return rules
}
