import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments } from "../../lib/cni/result-read.ts"
import { hostVethName, networkVethPrefix } from "../../lib/net/names.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { listLinks, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { readBridgeName, readIpamType } from "./config.ts"

/** Removes this network's veths that belong to no attachment the runtime knows, then has IPAM do the same with its leases. */
export function gc(call: Call): void {
  const { fields, name: network } = call.config
  const ipamType = readIpamType(fields)
  const valid = readValidAttachments(fields).map((attachment) => hostVethName({ network, ...attachment }))
  removeStaleVeths(readBridgeName(fields), network, new Set(valid))
  if (ipamType !== "") findDelegate(call, ipamType).gc()
}

function removeStaleVeths(bridgeName: string, network: string, valid: ReadonlySet<string>): void {
  using host = NetworkStack.host()
  const bridge = readLink(host.kernel, bridgeName)
  if (!bridge) return
  const prefix = networkVethPrefix(network)
  for (const port of listLinks(host.kernel, { master: bridge.index }).links) {
    const ours = port.kind === "veth" && port.name.startsWith(prefix) && isOwned(port.alias, network)
    if (ours && !valid.has(port.name)) removeLink(host.kernel, port.index)
  }
}

/** A finished attachment says whose it is; a veth without alias is what a killed ADD left. */
function isOwned(alias: string, network: string): boolean {
  return alias === "" || alias.startsWith(`cni-ts ${network} `) || alias.startsWith("cni-ts sha512 ")
}
