import { findDelegate } from "../../lib/cni/delegate.ts"
import { removeVeth } from "../../lib/cni/host-veth.ts"
import { readIpamType } from "../../lib/cni/interface-keys.ts"
import type { Call } from "../../lib/cni/plugin.ts"

/**
 * Removes the attachment, whoever made it and whatever is left of it. It needs neither the namespace nor a previous result, and only as
 * much of the configuration as names the IPAM plugin, if that. The addresses are released last, so that nobody gets them while this
 * pod may still use them.
 */
export function del(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  removeVeth(call)
  if (ipamType !== "") findDelegate(call, ipamType).del()
}
