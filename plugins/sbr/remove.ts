import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment, isStablePath } from "../../lib/attachment/same-pod.ts"
import { readableResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Address, sameAddress } from "../../lib/ip/address.ts"
import { hostPrefix, samePrefix } from "../../lib/ip/prefix.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { listAddresses } from "../../lib/netlink/route/address.ts"
import { readLink } from "../../lib/netlink/route/link.ts"
import { isFrom, listPolicyRules, type PolicyRule, removePolicyRule } from "../../lib/netlink/route/rule.ts"
import { listWholeRoutes } from "../../lib/netlink/route/whole-route.ts"
import { listOwnIps, readTable } from "./config.ts"
import { isKernels } from "./tables.ts"

/**
 * Removes the rules for the interface's addresses, if the namespace is still the pod's. The routes go with the interface; those in a table that
 * nobody is led to any more do nothing.
 */
export function remove(call: Call): void {
  const { ifname, netns } = call.environment
  using pod = openPodIfPresent(netns)
  if (!pod) return
  const { rtnetlink } = pod
  const link = readLink(rtnetlink, ifname)
  if (link ? !isOfAttachment(call, pod, link) : !isStablePath(netns)) return
  const told = listOwnIps(readableResult(call.config), ifname).map(({ address }) => address.address)
  const rules = listCandidates(rtnetlink, readTable(call.config))
  removeRules(rtnetlink, rules, [...told, ...(link ? addressesOf(rtnetlink, link.index) : [])])
  if (!link) removeRules(rtnetlink, rules, findOrphans(rtnetlink, rules))
}

/** Returns the rules that name one address and one table: that one if it is given, else any that is not the kernel's. */
function listCandidates(rtnetlink: Conversation, table?: number): PolicyRule[] {
  const isOurs = (candidate: number) => (table === undefined ? !isKernels(candidate) : candidate === table)
  return listPolicyRules(rtnetlink).filter((rule) => isOurs(rule.table) && senderOf(rule) !== undefined)
}

function senderOf({ source, plain }: PolicyRule): Address | undefined {
  return plain && source && samePrefix(source, hostPrefix(source.address)) ? source.address : undefined
}

function removeRules(rtnetlink: Conversation, rules: readonly PolicyRule[], senders: readonly Address[]): void {
  for (const rule of rules) {
    const sender = senders.find((address) => isFrom(rule, address))
    if (sender) removePolicyRule(rtnetlink, sender, rule.table, rule.priority)
  }
}

function addressesOf(rtnetlink: Conversation, index?: number): Address[] {
  return listAddresses(rtnetlink, index).map(({ prefix }) => prefix.address)
}

/**
 * Returns the senders of rules that are left of an interface which is gone, if nothing tells its addresses: the pod does not have them, and
 * the tables are empty, as their routes went with the interface.
 */
function findOrphans(rtnetlink: Conversation, rules: readonly PolicyRule[]): Address[] {
  if (rules.length === 0) return []
  const present = addressesOf(rtnetlink)
  const filled = new Set(listWholeRoutes(rtnetlink).map(({ table }) => table))
  return rules
    .filter(({ table }) => !filled.has(table))
    .flatMap((rule) => senderOf(rule) ?? [])
    .filter((sender) => !present.some((address) => sameAddress(address, sender)))
}
