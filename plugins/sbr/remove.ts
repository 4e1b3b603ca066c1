import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment, isStablePath } from "../../lib/attachment/same-pod.ts"
import { readableResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Address } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { listAddresses } from "../../lib/netlink/route/address.ts"
import { readLink } from "../../lib/netlink/route/link.ts"
import { isFrom, listPolicyRules, removePolicyRule } from "../../lib/netlink/route/rule.ts"
import { listOwnIps, readTable } from "./config.ts"
import { isKernels } from "./tables.ts"

/**
 * Removes the rules for the interface's addresses, if the namespace is still the pod's. The routes go with the interface; those in a table that
 * nobody is led to any more do nothing.
 */
export function remove(call: Call): void {
  using pod = openPodIfPresent(call.environment.netns)
  if (!pod) return
  const addresses = ownAddresses(call, pod)
  if (addresses.length === 0) return
  const table = readTable(call.config)
  const isOurs = (candidate: number) => (table === undefined ? !isKernels(candidate) : candidate === table)
  for (const rule of listPolicyRules(pod.rtnetlink)) {
    const sender = addresses.find((address) => isFrom(rule, address))
    if (sender && isOurs(rule.table)) removePolicyRule(pod.rtnetlink, sender, rule.table, rule.priority)
  }
}

/** Returns the addresses that the result of ADD told, and those that the interface has: either may be missing. */
function ownAddresses(call: Call, pod: NetworkStack): Address[] {
  const { ifname, netns } = call.environment
  const link = readLink(pod.rtnetlink, ifname)
  if (link ? !isOfAttachment(call, link) : !isStablePath(netns)) return []
  const told = listOwnIps(readableResult(call.config), ifname).map(({ address }) => address.address)
  const present = link ? listAddresses(pod.rtnetlink, link.index).map(({ prefix }) => prefix.address) : []
  return [...told, ...present]
}
