import { ownerOf } from "../../lib/cni/attachment.ts"
import { requirePrevResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { findHostVeth } from "./host-veth.ts"
import { removeIfbs } from "./ifb.ts"
import { removeLimits } from "./shaping.ts"

/**
 * Removes the attachment's ifb, whoever made it. What hangs on the host veth goes with the veth. The configuration is not looked at:
 * one that would fail ADD must not keep a pod from being cleaned up.
 */
export function del(call: Call): void {
  using host = NetworkStack.host()
  removeIfbs(host, ownerOf(call))
}

/** As del(), and the limits are gone from the veth, which stays for now: it is not this plugin's. */
export function takeBack(call: Call): void {
  using host = NetworkStack.host()
  removeIfbs(host, ownerOf(call))
  removeLimits(host, findHostVeth(host, call, requirePrevResult(call.config)))
}
