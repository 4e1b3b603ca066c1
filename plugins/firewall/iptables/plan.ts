import type { Family } from "../../../lib/ip/address.ts"
import {
  deleteListed,
  type ListedRule,
  listIptablesRules,
  placeRule,
  planMissing,
  positionsIn,
} from "../../../lib/net/iptables.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { ensureChain, ensureTable } from "../../../lib/netlink/netfilter/ruleset.ts"
import { formatIptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import { iptablesTable } from "../../../lib/netlink/netfilter/xtables/tables.ts"
import { CHAIN } from "../chains.ts"
import type { Demand, Wanted } from "../demand.ts"
import { filterChain, placed, podRules, sharedRules, toBridges, toPods } from "./rules.ts"

/** Plans what is missing of the demand in table filter of its family, and the chains for it. */
export function planIptables(
  nfnetlink: Conversation,
  { family, addresses }: Demand,
  { adminChain, policy }: Wanted,
  key: string,
): Request[] {
  const list = (name: string) => listIptablesRules(nfnetlink, filterChain(family, name), key)
  const chains = policy ? [CHAIN.pods, CHAIN.fromBridge, CHAIN.toBridge] : [CHAIN.pods]
  const found = chains.flatMap(list)
  const inForward = list(CHAIN.forward)
  const changes = [
    ...planForward(family, inForward, policy !== undefined),
    ...planMissing(
      found,
      sharedRules(adminChain, policy).map((shared) => placed(family, shared)),
    ),
    ...planPod({ family, addresses }, found, key),
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
function planPod({ family, addresses }: Demand, found: readonly ListedRule[], key: string): Request[] {
  const rules = addresses.flatMap(podRules)
  const wanted = rules.map(formatIptablesRule)
  const own = found.filter(
    (rule) => rule.note === key || (rule.note === undefined && wanted.includes(rule.text() ?? "")),
  )
  const complete =
    own.length === wanted.length && own.every((rule, at) => rule.note === key && rule.text() === wanted[at])
  if (complete) return []
  const chain = filterChain(family, CHAIN.pods)
  return [...own.map(deleteListed), ...rules.map((rule) => placeRule({ chain, rule }, key))]
}
