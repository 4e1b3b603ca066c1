import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments, reasonToCollect } from "../../lib/cni/result-read.ts"
import { hostVethName, isOwnedIn, networkVethPrefix } from "../../lib/net/names.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { listLinks, removeLink } from "../../lib/netlink/route/link.ts"
import { readIpamType } from "./config.ts"

/** Removes this network's veths that belong to no attachment the runtime knows, then has IPAM do the same with its leases. */
export function gc(call: Call): void {
  const { fields, name: network } = call.config
  const ipamType = readIpamType(fields)
  const valid = readValidAttachments(fields).map((attachment) => hostVethName({ network, ...attachment }))
  removeStaleVeths(call, new Set(valid))
  if (ipamType !== "") findDelegate(call, ipamType).gc()
}

/** All links are looked at, not the bridge's ports alone: the bridge may have been removed or made anew since ADD. */
function removeStaleVeths({ config, log }: Call, valid: ReadonlySet<string>): void {
  const { name: network, fields } = config
  using host = NetworkStack.host()
  const prefix = networkVethPrefix(network)
  for (const { kind, name, alias, index } of listLinks(host.kernel).links) {
    const ours = kind === "veth" && name.startsWith(prefix) && isOwnedIn(alias, network)
    if (!ours || valid.has(name) || !removeLink(host.kernel, index)) continue
    log.removed(`${name} (${JSON.stringify(alias)})`, reasonToCollect(fields))
  }
}
