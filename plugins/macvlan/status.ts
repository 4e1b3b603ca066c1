import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readMacvlanConfig } from "./config.ts"
import { findMaster } from "./master.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot, or what IPAM says. A master in the pod is not looked for. */
export function status(call: Call): void {
  const config = orUnavailable(() => readMacvlanConfig(call.config))
  using host = NetworkStack.host()
  if (!config.linkInContainer) orUnavailable(() => findMaster(host, config))
  if (config.ipamType !== "") orUnavailable(() => findDelegate(call, config.ipamType)).status()
}
