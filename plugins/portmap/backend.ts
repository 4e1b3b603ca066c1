import type { Result } from "../../lib/cni/result.ts"
import { type Family, families } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { readChain } from "../../lib/netlink/netfilter/ruleset.ts"
import type { Backend, PortmapConfig } from "./config.ts"
import { CHAIN, natChain } from "./iptables/chains.ts"
import { isKnownToIptables } from "./port-mapping.ts"

/**
 * Returns the backend that leads ports to a pod with this result. If the configuration does not say, it is nftables, unless table nat has the
 * chain of the iptables backend: then the node is in the middle of a switch, or something, as nerdctl, looks in that chain which ports are
 * taken.
 */
export function backendOn({ nfnetlink }: NetworkStack, config: PortmapConfig, { ips }: Result): Backend {
  if (config.backend) return config.backend
  const [family] = families.filter((known) => ips.some(({ address }) => address.address.family === known))
  const joins = family && config.published.every(isKnownToIptables) && hasChain(nfnetlink, family)
  return joins ? "iptables" : "nftables"
}

function hasChain(nfnetlink: NetworkStack["nfnetlink"], family: Family): boolean {
  return readChain(nfnetlink, natChain(family, CHAIN.dnat)) !== undefined
}
