import type { Attachment } from "../../lib/cni/attachment.ts"
import { requirePrevResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { findHostVeth } from "./host-veth.ts"
import { removeIfbs } from "./ifb.ts"
import { removeLimits } from "./shaping.ts"

/** Removes all that ADD made: unlike DEL also the limits on the veth, which is not this plugin's and stays. */
export function takeBack(host: NetworkStack, attachment: Attachment, call: Call): void {
  removeIfbs(host, attachment)
  removeLimits(host, findHostVeth(host, call, requirePrevResult(call.config)))
}
