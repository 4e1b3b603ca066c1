import { families } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { PodRule } from "./hostport/rule-list.ts"
import { protocols } from "./port-mapping.ts"
import { forgetUdpFlows, type UdpPort } from "./stale-flows.ts"

/** Ends the UDP flows that these rules, now gone, led to their pods. */
export function forgetFlowsOf(host: NetworkStack, rules: readonly PodRule[]): void {
  for (const family of families) {
    const ports: UdpPort[] = []
    for (const { reading } of rules) {
      const { protocol, destination, destinationPort: port, to } = reading
      if (protocol !== protocols.udp || port === undefined || to?.family !== family) continue
      ports.push({ port, address: destination, answeredBy: to })
    }
    forgetUdpFlows(host, family, ports)
  }
}
