import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { type Address, sameAddress } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { forgetFlowsOf } from "./flows.ts"
import { collectHostports, removeHostports } from "./hostport/hostports.ts"
import type { PodRule } from "./hostport/rule-list.ts"
import { closeRouteLocalnet } from "./route-localnet.ts"

/** Removes the attachment's rules, whoever made them and whatever is left of them; it need not be told the ports. */
export function remove(host: NetworkStack, attachment: Attachment, { environment, log }: Call): void {
  const { rules, held } = removeHostports(host, attachment)
  for (const { words } of held) log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  forgetFlowsOf(host, rules)
  closeRouteLocalnet(host, { attachment, netns: environment.netns }, addressesOf(rules))
}

/** Removes stale rules of the network. Those of the Go plugin do not say whose they are, and stay. */
export function collect(host: NetworkStack, { config, log }: Call, { attachments, reason }: Survivors): void {
  const said = new Set<string>()
  for (const removed of collectHostports(host, config.name, attachments)) {
    for (const pod of new Set(removed.map(({ comment, note }) => `${comment} (${note})`))) {
      if (!said.has(pod)) log.removed(`host ports of ${pod}`, reason)
      said.add(pod)
    }
    forgetFlowsOf(host, removed)
  }
}

/** Returns the IPv4 addresses that ports were led to, each once. */
function addressesOf(rules: readonly PodRule[]): Address[] {
  const addresses: Address[] = []
  for (const { reading } of rules) {
    const { to } = reading
    if (to?.family === 4 && !addresses.some((known) => sameAddress(known, to))) addresses.push(to)
  }
  return addresses
}
