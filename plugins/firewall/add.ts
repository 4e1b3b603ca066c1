import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { Family } from "../../lib/ip/address.ts"
import { explainingForeignChains } from "../../lib/net/base-chain.ts"
import {
  deleteListed,
  type ListedRule,
  listIptablesRules,
  placeRule,
  planMissing,
  positionsIn,
  textOf,
} from "../../lib/net/iptables.ts"
import type { Conversation, Request } from "../../lib/netlink/conversation.ts"
import { ensureChain, ensureTable } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { formatIptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { iptablesTable } from "../../lib/netlink/netfilter/xtables/tables.ts"
import type { FirewallConfig } from "./config.ts"
import { type Demand, demandsOf } from "./demand.ts"
import { noticeWhatIsNotSeen } from "./notices.ts"
import { removePodRules } from "./remove.ts"
import { CHAIN, filterChain, placed, toBridges, toPods } from "./rules.ts"

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
  const list = (name: string) => listIptablesRules(nfnetlink, filterChain(family, name), key)
  const chains = hasPolicy ? [CHAIN.pods, CHAIN.fromBridge, CHAIN.toBridge] : [CHAIN.pods]
  const found = chains.flatMap(list)
  const inForward = list(CHAIN.forward)
  const changes = [
    ...planForward(family, inForward, hasPolicy),
    ...planMissing(
      found,
      demand.shared.map((shared) => placed(family, shared)),
    ),
    ...planPod(demand, found, key),
  ]
  if (changes.length === 0) return []
  return [...planChains(family, [CHAIN.forward, ...chains, adminChain], [...inForward, ...found]), ...changes]
}

/** Plans the chains that no rule found is in or leads to; to make the others again would cost 10 ms. */
function planChains(family: Family, wanted: readonly string[], found: readonly ListedRule[]): Request[] {
  const present = new Set(
    found.flatMap((rule) => [rule.chain.name, rule.note === undefined ? rule.target() : undefined]),
  )
  const missing = wanted.filter((chain) => !present.has(chain))
  if (missing.length === 0) return []
  return [
    ensureTable(iptablesTable(family, "filter")),
    ...missing.map((chain) => ensureChain(filterChain(family, chain))),
  ]
}

/** Plans the way from FORWARD: first to the rules of the bridges, if there are any, then to those of the pods. */
function planForward(family: Family, found: readonly ListedRule[], hasPolicy: boolean): Request[] {
  const [pods, bridges] = [placed(family, toPods), placed(family, toBridges)]
  const [toPodsAt = -1, toBridgesAt = -1] = positionsIn(found, [pods, bridges])
  const [jump] = found.slice(toBridgesAt, toBridgesAt + 1)
  const changes = toPodsAt < 0 ? [placeRule(pods)] : []
  if (toBridgesAt < 0 ? !hasPolicy : toBridgesAt < toPodsAt) return changes
  return [...changes, ...(jump ? [deleteListed(jump)] : []), placeRule(bridges)]
}

/** Plans that the pod has its rules once, with its key: those that say the same and nothing of an owner, as the Go plugin's, become its own. */
function planPod({ family, pod }: Demand, found: readonly ListedRule[], key: string): Request[] {
  const wanted = pod.map(formatIptablesRule)
  const own = found.filter(
    (rule) => rule.note === key || (rule.note === undefined && wanted.includes(textOf(rule) ?? "")),
  )
  const complete =
    own.length === wanted.length && own.every((rule, at) => rule.note === key && textOf(rule) === wanted[at])
  if (complete) return []
  const chain = filterChain(family, CHAIN.pods)
  return [...own.map(deleteListed), ...pod.map((rule) => placeRule({ chain, rule }, key))]
}
