import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { type Address, families } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { collectHostports, removeHostports } from "./hostport/hostports.ts"
import type { PodRule } from "./hostport/rule-list.ts"
import { collectIptablesHostports } from "./iptables/collect.ts"
import { protocols } from "./port-mapping.ts"
import { closeRouteLocalnet, collectRouteLocalnet } from "./route-localnet.ts"
import { forgetUdpFlows, type UdpPort } from "./udp-flows.ts"

/** Removes the attachment's rules, whoever made them, and what ADD changed for them. */
export function remove(host: NetworkStack, attachment: Attachment, { environment, log }: Call): void {
  const { rules, held } = removeHostports(host, attachment)
  for (const { words } of held) log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  forgetFlowsOf(host, rules)
  closeRouteLocalnet(host, addressesOf(rules), { attachment, netns: environment.netns })
}

/** Removes the network's stale rules. The Go plugin's do not name their network and stay. */
export function collect(host: NetworkStack, { config, log }: Call, { attachments, reason }: Survivors): void {
  const logged = new Set<string>()
  const finish = (removed: readonly PodRule[]) => {
    for (const pod of new Set(removed.map(({ comment, note }) => `${comment} (${note})`))) {
      if (!logged.has(pod)) log.removed(`host ports of ${pod}`, reason)
      logged.add(pod)
    }
    forgetFlowsOf(host, removed)
    closeRouteLocalnet(host, addressesOf(removed))
  }
  for (const removed of collectHostports(host, config.name, attachments)) finish(removed)
  const { rules, held } = collectIptablesHostports(host, config.name, attachments)
  for (const { words } of held) log.noticed(words)
  finish(rules)
  collectRouteLocalnet(host, config.name)
}

/** Removes the UDP flows that these rules, now removed, led to their pods. */
function forgetFlowsOf(host: NetworkStack, rules: readonly PodRule[]): void {
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

/** Returns the IPv4 addresses that ports were led to, each once. */
function addressesOf(rules: readonly PodRule[]): Address[] {
  const addresses = new Map<bigint, Address>()
  for (const { reading } of rules) {
    if (reading.to?.family === 4) addresses.set(reading.to.value, reading.to)
  }
  return [...addresses.values()]
}
