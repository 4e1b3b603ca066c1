import { readLiveAddresses } from "../../lib/attachment/live-addresses.ts"
import { readLivingAttachments } from "../../lib/attachment/living.ts"
import { networkRuleKey, ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { readableResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { type Address, families, formatAddress } from "../../lib/ip/address.ts"
import { deleteListed, describeRule, type ListedRule, listIptablesRules, textOf } from "../../lib/net/iptables.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { cleanUp } from "../../lib/netlink/netfilter/transaction.ts"
import { formatIptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { CHAIN, filterChain, podRules } from "./rules.ts"

/** Removes the attachment's rules; those that do not say whose they are, as the Go plugin's, by the addresses of the result. */
export function remove(host: NetworkStack, attachment: Attachment, call: Call): void {
  const addresses = readableResult(call.config).ips.map(({ address }) => address.address)
  removePodRules(host, attachment, addresses)
}

/** Removes the rules that are the attachment's, and of those that do not say whose they are the rules for these addresses. */
export function removePodRules(
  { nfnetlink }: NetworkStack,
  attachment: Attachment,
  addresses: readonly Address[],
): void {
  const key = ruleKey(attachment)
  const texts = addresses.flatMap(podRules).map(formatIptablesRule)
  const isOwn = (rule: ListedRule) =>
    rule.note === key || (rule.note === undefined && texts.length > 0 && texts.includes(textOf(rule) ?? ""))
  cleanUp(nfnetlink, () => listPodRules(nfnetlink, key).filter(isOwn).map(deleteListed))
}

/** Removes stale rules of the network. Those of the Go plugin do not say whose they are, and stay. */
export function collect(host: NetworkStack, { config, log }: Call, { attachments, reason }: Survivors): void {
  let stale: ListedRule[] = []
  cleanUp(host.nfnetlink, () => {
    const key = networkRuleKey(config.name)
    const rules = listPodRules(host.nfnetlink, key).filter(({ note }) => note !== undefined)
    stale = attachments ? outside(rules, attachments) : gone(rules, host)
    return stale.map(deleteListed)
  })
  for (const rule of stale) log.removed(describeRule(rule.chain, textOf(rule) ?? ""), reason)
}

function listPodRules(nfnetlink: NetworkStack["nfnetlink"], key: string): ListedRule[] {
  return families.flatMap((family) => listIptablesRules(nfnetlink, filterChain(family, CHAIN.pods), key))
}

function outside(rules: readonly ListedRule[], attachments: readonly Attachment[]): ListedRule[] {
  const kept = new Set<string | undefined>(attachments.map(ruleKey))
  return rules.filter(({ note }) => !kept.has(note))
}

/** Returns those whose pod has neither a veth of ours nor an address in any network namespace: not every pod hangs on a veth. */
function gone(rules: readonly ListedRule[], host: NetworkStack): ListedRule[] {
  // Read after the rules: a pod's interface is made before its rules, so none is missed.
  const living = readLivingAttachments(host)
  const unknown = living ? outside(rules, living) : []
  const addresses = unknown.length > 0 ? readLiveAddresses() : undefined
  if (!addresses) return []
  return unknown.filter((rule) => {
    const { source, destination } = rule.read() ?? {}
    const address = (source ?? destination)?.address
    return address !== undefined && !addresses.has(formatAddress(address))
  })
}
