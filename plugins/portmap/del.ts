import { ownerOf } from "../../lib/cni/owner.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { removeHostports } from "../../lib/net/hostport/hostports.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { forgetFlowsOf } from "./flows.ts"

/**
 * Removes the attachment's rules, whoever made them and whatever is left of them. Needs neither the namespace nor a previous result, nor
 * to be told the ports.
 */
export function del(call: Call): void {
  using host = NetworkStack.host()
  const { rules, held } = removeHostports(host, ownerOf(call))
  for (const { words } of held) call.log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  forgetFlowsOf(host, rules)
}
