import { type Address, type Family, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import { type NetworkStack, readSysctl } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { type Flow, type FlowFilter, findFlows, removeFlow } from "../../lib/netlink/netfilter/conntrack.ts"
import { lookupRoute } from "../../lib/netlink/route/route.ts"
import { groupByPort, protocols } from "./port-mapping.ts"

/** UDP packets to a port of the node that went somewhere, and went by then. */
export interface UdpPort {
  readonly port: number
  /** The node's address they were for; absent: any. */
  readonly address?: Address | undefined
  /** The pod that answers; absent: whoever did. */
  readonly answeredBy?: Address | undefined
  /** Where they are led by now: what goes there stays. */
  readonly ledTo?: Pick<Flow["reply"], "source" | "sourcePort">
}

/**
 * The kernel can pick the flows of one port, but goes through its whole table for that, of both families. In the same time we list so many
 * flows, and one in so many of those that there are.
 */
const SEARCH = { flows: 4000, share: 12 }

/** Flows that are held at a time: a node may have millions. */
const AT_ONCE = 10_000

/** Clients may make flows as fast as they are forgotten: a million is enough. */
const MOST_ROUNDS = 100

/**
 * Has the kernel forget the UDP flows to these ports of the node. A client that goes on sending from one port would otherwise keep going
 * where the rules led its first packet. Where the kernel cannot, they end by themselves after 30 to 120 seconds of silence.
 */
export function forgetUdpFlows(host: NetworkStack, family: Family, ports: readonly UdpPort[]): void {
  if (ports.length === 0) return
  const byPort = groupByPort(ports, ({ port }) => port)
  const isNodes = rememberNodesAddresses(host)
  const isStale = (flow: Flow) => {
    const those = byPort.get(flow.original.destinationPort)
    return those?.some((port) => isTo(flow, port)) === true && isNodes(flow.original.destination)
  }
  const all = [...byPort.keys()]
  const forget = (some: readonly number[]) =>
    forgetFlows(host, { family, protocol: protocols.udp, destinationPorts: new Set(some) }, isStale)
  try {
    const oneByOne = all.length > 1 && isSearchWorth(all.length) && all.every((port) => forget([port]))
    if (!oneByOne) forget(all)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

/** Tells if it takes less to look for each of so many ports than to list all flows of the node once. */
function isSearchWorth(ports: number): boolean {
  const flows = Number(readSysctl("net/netfilter/nf_conntrack_count"))
  return ports * (SEARCH.flows + flows / SEARCH.share) < flows
}

/** False if the kernel sent all it has, since it cannot pick. */
function forgetFlows({ nfnetlink }: NetworkStack, wanted: FlowFilter, test: (flow: Flow) => boolean): boolean {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const { flows, picked } = findFlows(nfnetlink, wanted, test, AT_ONCE)
    for (const flow of flows) removeFlow(nfnetlink, flow)
    if (flows.length < AT_ONCE) return picked
  }
  return true
}

function isTo({ original, reply }: Flow, { address, answeredBy, ledTo }: UdpPort): boolean {
  if (address && !sameAddress(address, original.destination)) return false
  if (ledTo?.sourcePort === reply.sourcePort && sameAddress(ledTo.source, reply.source)) return false
  return !answeredBy || sameAddress(answeredBy, reply.source)
}

/** Whether an address is the node's own: flows through the node to the same port of others are none of ours. Asks once for each. */
function rememberNodesAddresses(host: NetworkStack): (address: Address) => boolean {
  const known = new Map<string, boolean>()
  return (address) => {
    const text = formatAddress(address)
    const local = known.get(text) ?? lookupRoute(host.rtnetlink, address)?.local === true
    known.set(text, local)
    return local
  }
}
