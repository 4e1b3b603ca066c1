import { findDelegate } from "../../lib/cni/delegate.ts"
import { collectVeths } from "../../lib/cni/host-veth.ts"
import { readIpamType } from "../../lib/cni/interface-keys.ts"
import type { Call } from "../../lib/cni/plugin.ts"

/** Removes this network's veths that belong to no attachment the runtime knows, then has IPAM do the same with its leases. */
export function gc(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  collectVeths(call)
  if (ipamType !== "") findDelegate(call, ipamType).gc()
}
