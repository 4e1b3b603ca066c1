import { ownerOf } from "../../lib/cni/owner.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { removeIfbs } from "../../lib/net/ifb.ts"
import { NetworkStack } from "../../lib/net/stack.ts"

/**
 * Removes the attachment's ifb, whoever made it. What hangs on the host veth goes with the veth. The configuration is not looked at:
 * one that would fail ADD must not keep a pod from being cleaned up.
 */
export function del(call: Call): void {
  using host = NetworkStack.host()
  removeIfbs(host, ownerOf(call))
}
