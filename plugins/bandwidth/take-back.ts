import { attachmentOf } from "../../lib/cni/attachment.ts"
import { requirePrevResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { findHostVeth } from "./host-veth.ts"
import { removeIfbs } from "./ifb.ts"
import { removeLimits } from "./shaping.ts"

/** Removes all that ADD made: unlike DEL also the limits on the veth, which is not this plugin's and stays. */
export function takeBack(call: Call): void {
  using host = NetworkStack.host()
  removeIfbs(host, attachmentOf(call))
  removeLimits(host, findHostVeth(host, call, requirePrevResult(call.config)))
}
