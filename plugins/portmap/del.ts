import { ownerOf } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Address, sameAddress } from "../../lib/ip/address.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { forgetFlowsOf } from "./flows.ts"
import { removeHostports } from "./hostport/hostports.ts"
import type { PodRule } from "./hostport/rule-list.ts"
import { closeRouteLocalnet } from "./route-localnet.ts"

/**
 * Removes the attachment's rules, whoever made them and whatever is left of them. Needs neither the namespace nor a previous result, nor
 * to be told the ports.
 */
export function del(call: Call): void {
  using host = NetworkStack.host()
  const owner = ownerOf(call)
  const { rules, held } = removeHostports(host, owner)
  for (const { words } of held) call.log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  forgetFlowsOf(host, rules)
  closeRouteLocalnet(host, { owner, netns: call.environment.netns }, addressesOf(rules))
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
