import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { Family } from "../../lib/ip/address.ts"
import { explainingForeignChains } from "../../lib/net/base-chain.ts"
import type { Conversation, Request } from "../../lib/netlink/conversation.ts"
import { appendRule, insertRule } from "../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { encodeIptablesRule } from "../../lib/netlink/netfilter/xtables/encode.ts"
import { formatIptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import type { FirewallConfig } from "./config.ts"
import { type Demand, demandsOf } from "./demand.ts"
import { deleteFilterRule, type FilterRule, filterChain, filterTable, listFilterRules, textOf } from "./filter-table.ts"
import { noticeWhatIsNotSeen } from "./notices.ts"
import { removePodRules } from "./remove.ts"
import { CHAIN, type Shared, toBridges, toPods } from "./rules.ts"

/** Lets the pod's traffic through the node, in one transaction. Done again, it changes nothing. The result is that of the plugins before. */
export function add(
  { call, config, attachment, host, undo }: ChainedAddContext<FirewallConfig>,
  result: Result,
): Result {
  const demands = demandsOf(config, result)
  noticeWhatIsNotSeen(host, config, call.log)
  const forward = demands.map(({ family }) => filterChain(family, CHAIN.forward))
  const plan = () =>
    demands.flatMap((demand) => planFamily(host.nfnetlink, demand, config.adminChain, ruleKey(attachment)))
  undo.attempt(
    () => explainingForeignChains(host.nfnetlink, forward, () => transact(host.nfnetlink, plan)),
    () => removePodRules(host, attachment, []),
  )
  return result
}

/** Plans what is missing of the demand, and the chains for it. */
function planFamily(nfnetlink: Conversation, demand: Demand, adminChain: string, key: string): Request[] {
  const { family, hasPolicy } = demand
  const chains = hasPolicy ? [CHAIN.pods, CHAIN.fromBridge, CHAIN.toBridge] : [CHAIN.pods]
  const found = chains.flatMap((chain) => listFilterRules(nfnetlink, family, chain, key))
  const changes = [
    ...planForward(family, listFilterRules(nfnetlink, family, CHAIN.forward, key), hasPolicy),
    ...planShared(demand, found),
    ...planPod(demand, found, key),
  ]
  if (changes.length === 0) return []
  const made = [CHAIN.forward, ...chains, adminChain].map((chain) => ensureChain(filterChain(family, chain)))
  return [ensureTable(filterTable(family)), ...made, ...changes]
}

/** Plans the way from FORWARD: first to the rules of the bridges, if there are any, then to those of the pods. */
function planForward(family: Family, found: readonly FilterRule[], hasPolicy: boolean): Request[] {
  const [toPodsAt = -1, toBridgesAt = -1] = positionsIn(found, [toPods, toBridges])
  const [jump] = found.slice(toBridgesAt, toBridgesAt + 1)
  const changes = toPodsAt < 0 ? [make(family, toPods)] : []
  if (toBridgesAt < 0 ? !hasPolicy : toBridgesAt < toPodsAt) return changes
  return [...changes, ...(jump ? [deleteFilterRule(jump)] : []), make(family, toBridges)]
}

function planShared({ family, shared }: Demand, found: readonly FilterRule[]): Request[] {
  const positions = positionsIn(found, shared)
  return shared.filter((_, index) => positions[index] === -1).map((wanted) => make(family, wanted))
}

/** Returns where each of the rules is among those found, -1 if it is not. */
function positionsIn(found: readonly FilterRule[], wanted: readonly Shared[]): number[] {
  const present = found.map((rule) => (rule.note === undefined ? `${rule.chain} ${textOf(rule)}` : undefined))
  return wanted.map(({ chain, rule }) => present.indexOf(`${chain} ${formatIptablesRule(rule)}`))
}

function make(family: Family, { chain, rule, last }: Shared): Request {
  return (last ? appendRule : insertRule)(filterChain(family, chain), encodeIptablesRule(rule, family))
}

/** Plans that the pod has its rules once, with its key: those that say the same and nothing of an owner, as the Go plugin's, become its own. */
function planPod({ family, pod }: Demand, found: readonly FilterRule[], key: string): Request[] {
  const wanted = pod.map(formatIptablesRule)
  const own = found.filter(
    (rule) => rule.note === key || (rule.note === undefined && wanted.includes(textOf(rule) ?? "")),
  )
  const complete =
    own.length === wanted.length && own.every((rule, at) => rule.note === key && textOf(rule) === wanted[at])
  if (complete) return []
  const chain = filterChain(family, CHAIN.pods)
  return [
    ...own.map(deleteFilterRule),
    ...pod.map((rule) => appendRule(chain, { ...encodeIptablesRule(rule, family), note: key })),
  ]
}
