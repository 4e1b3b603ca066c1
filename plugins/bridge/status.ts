import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { readBridge } from "./bridge-link.ts"
import { readBridgeConfig } from "./config.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot, or what IPAM says. */
export function status(call: Call): void {
  const { bridge, ipamType, ipMasq, macspoofchk } = orUnavailable(() => readBridgeConfig(call.config))
  using host = NetworkStack.host()
  orUnavailable(() => readBridge(host.kernel, bridge))
  if (ipMasq || macspoofchk) orUnavailable(() => readGeneration(host.netfilter))
  if (ipamType !== "") orUnavailable(() => findDelegate(call, ipamType)).status()
}
