import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"

/** Has IPAM free the leases of attachments that are no longer valid. A macvlan lives and dies with its pod's namespace. */
export function gc(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  if (ipamType !== "") findDelegate(call, ipamType).gc()
}
