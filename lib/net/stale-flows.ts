import { type Address, type Family, formatAddress, sameAddress } from "../ip/address.ts"
import { KernelError } from "../netlink/kernel-error.ts"
import { type Flow, listFlows, removeFlow } from "../netlink/netfilter/conntrack.ts"
import { readWay } from "../netlink/route/route.ts"
import { groupByPort, protocols } from "./port-mapping.ts"
import type { NetworkStack } from "./stack.ts"

/** UDP packets to a port of the node that went somewhere, and went by then. */
export interface UdpPort {
  readonly port: number
  /** The node's address they were for; absent: any. */
  readonly address?: Address | undefined
  /** The pod that answers; absent: whoever did. */
  readonly answeredBy?: Address | undefined
}

/**
 * Has the kernel forget the UDP flows to these ports of the node. A client that goes on sending from one port would otherwise keep going
 * where the rules led its first packet. Where the kernel cannot, they end by themselves after 30 to 120 seconds of silence.
 */
export function forgetUdpFlows(host: NetworkStack, family: Family, ports: readonly UdpPort[]): void {
  if (ports.length === 0) return
  try {
    const byPort = groupByPort(ports, ({ port }) => port)
    const only = byPort.size === 1 ? ports[0]?.port : undefined
    const isNodes = rememberNodesAddresses(host)
    for (const flow of listFlows(host.netfilter, { family, protocol: protocols.udp, destinationPort: only })) {
      const those = byPort.get(flow.original.destinationPort) ?? []
      if (those.some((port) => isTo(flow, port)) && isNodes(flow.original.destination)) removeFlow(host.netfilter, flow)
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

function isTo({ original, reply }: Flow, { address, answeredBy }: UdpPort): boolean {
  if (address && !sameAddress(address, original.destination)) return false
  return !answeredBy || sameAddress(answeredBy, reply.source)
}

/** Whether an address is the node's own: flows through the node to the same port of others are none of ours. Asks once for each. */
function rememberNodesAddresses(host: NetworkStack): (address: Address) => boolean {
  const known = new Map<string, boolean>()
  return (address) => {
    const text = formatAddress(address)
    const local = known.get(text) ?? readWay(host.kernel, address)?.local === true
    known.set(text, local)
    return local
  }
}
