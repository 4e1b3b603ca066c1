import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { families } from "../../lib/ip/address.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { readPortmapConfig } from "./config.ts"
import { layoutOf, refuseForeign } from "./hostport/layout.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot. */
export function status(call: Call): void {
  using host = NetworkStack.host()
  orUnavailable(() => {
    readPortmapConfig(call.config)
    readGeneration(host.netfilter)
    for (const family of families) refuseForeign(host.netfilter, layoutOf(family))
  })
}
