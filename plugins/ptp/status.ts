import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { readPtpConfig } from "./config.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot, or what IPAM says. */
export function status(call: Call): void {
  const { ipamType, ipMasq } = orUnavailable(() => readPtpConfig(call.config))
  using host = NetworkStack.host()
  if (ipMasq) orUnavailable(() => readGeneration(host.netfilter))
  orUnavailable(() => findDelegate(call, ipamType)).status()
}
