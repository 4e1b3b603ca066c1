import { findDelegate } from "../../lib/cni/delegate.ts"
import { CniError, code } from "../../lib/cni/errors.ts"
import { toCniError } from "../../lib/cni/failure.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readBridge } from "../../lib/net/bridge.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readBridgeConfig } from "./config.ts"

/** Returns if ADD can be served; throws code 50 with the reason if it cannot, or what IPAM says. */
export function status(call: Call): void {
  const { bridge, ipamType } = orUnavailable(() => readBridgeConfig(call.config))
  using host = NetworkStack.host()
  orUnavailable(() => readBridge(host.kernel, bridge))
  if (ipamType !== "") orUnavailable(() => findDelegate(call, ipamType)).status()
}

function orUnavailable<Value>(attempt: () => Value): Value {
  try {
    return attempt()
  } catch (error) {
    const { message, details } = toCniError(error)
    throw new CniError(code.notAvailable, message, details, { cause: error })
  }
}
