import { CniError, code } from "../../lib/cni/errors.ts"
import { toCniError } from "../../lib/cni/failure.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { layoutOf, refuseForeign } from "../../lib/net/hostport/layout.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { readPortmapConfig } from "./config.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot. */
export function status(call: Call): void {
  using host = NetworkStack.host()
  try {
    readPortmapConfig(call.config)
    readGeneration(host.netfilter)
    refuseForeign(host.netfilter, layoutOf(4))
    refuseForeign(host.netfilter, layoutOf(6))
  } catch (error) {
    const { message, details } = toCniError(error)
    throw new CniError(code.notAvailable, message, details, { cause: error })
  }
}
