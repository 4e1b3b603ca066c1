import { type Address, type Family, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { type Flow, type FlowFilter, findFlows, removeFlow } from "../../lib/netlink/netfilter/conntrack.ts"
import { lookupRoute } from "../../lib/netlink/route/route.ts"
import { groupByPort, protocols } from "./port-mapping.ts"

/** Selects UDP flows to a port of the node. */
export interface UdpPort {
  readonly port: number
  /** The node's address that the flows are to; absent: any. */
  readonly address?: Address | undefined
  /** The pod that answers; absent: anybody. */
  readonly answeredBy?: Address | undefined
  /** The destination of the rules now: flows to it stay. */
  readonly ledTo?: Pick<Flow["reply"], "source" | "sourcePort">
}

/**
 * The measured cost of having the kernel pick the flows of one port, for which it searches its whole table: it equals listing `flows` flows
 * and one in `share` of all that exist.
 */
const SEARCH = { flows: 4000, share: 12 }

/** Limits the flows in memory: a node may have millions. */
const MAX_FLOWS_PER_ROUND = 10_000

/** Ends the loop if clients make flows as fast as they are removed. */
const MAX_ROUNDS = 100

/**
 * Removes the UDP flows to these ports of the node from the kernel's connection tracking. While a client keeps sending from one port, a
 * flow leads its packets where the rules led the first one. If the kernel cannot remove them, flows end after 30 to 120 seconds of silence.
 */
export function forgetUdpFlows(host: NetworkStack, family: Family, ports: readonly UdpPort[]): void {
  if (ports.length === 0) return
  const byPort = groupByPort(ports, ({ port }) => port)
  const isLocal = localAddressTest(host)
  const isSelected = (flow: Flow) => {
    const candidates = byPort.get(flow.original.destinationPort)
    return candidates?.some((port) => matches(flow, port)) === true && isLocal(flow.original.destination)
  }
  const all = [...byPort.keys()]
  const forget = (some: readonly number[]) =>
    forgetFlows(host, { family, protocol: protocols.udp, destinationPorts: new Set(some) }, isSelected)
  try {
    const oneByOne = all.length > 1 && isSearchCheaper(host, all.length) && all.every((port) => forget([port]))
    if (!oneByOne) forget(all)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

/** Returns true if one search for each port costs less than listing all flows of the node once. */
function isSearchCheaper(host: NetworkStack, ports: number): boolean {
  const flows = Number(host.readSysctl("net/netfilter/nf_conntrack_count"))
  return ports * (SEARCH.flows + flows / SEARCH.share) < flows
}

/** Removes the flows. Returns false if this kernel cannot pick flows, so that all were listed and tested. */
function forgetFlows({ nfnetlink }: NetworkStack, wanted: FlowFilter, test: (flow: Flow) => boolean): boolean {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { flows, picked } = findFlows(nfnetlink, wanted, test, MAX_FLOWS_PER_ROUND)
    for (const flow of flows) removeFlow(nfnetlink, flow)
    if (flows.length < MAX_FLOWS_PER_ROUND) return picked
  }
  return true
}

function matches({ original, reply }: Flow, { address, answeredBy, ledTo }: UdpPort): boolean {
  if (address && !sameAddress(address, original.destination)) return false
  if (ledTo?.sourcePort === reply.sourcePort && sameAddress(ledTo.source, reply.source)) return false
  return !answeredBy || sameAddress(answeredBy, reply.source)
}

/** Returns a test for the node's own addresses, which looks each up once: flows to others only pass through the node. */
function localAddressTest(host: NetworkStack): (address: Address) => boolean {
  const known = new Map<string, boolean>()
  return (address) => {
    const text = formatAddress(address)
    const local = known.get(text) ?? lookupRoute(host.rtnetlink, address)?.local === true
    known.set(text, local)
    return local
  }
}
