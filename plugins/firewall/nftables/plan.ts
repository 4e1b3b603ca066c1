import { ruleKey } from "../../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Address } from "../../../lib/ip/address.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { isMadeOf } from "../../../lib/netlink/netfilter/expression.ts"
import { appendRule, deleteRule, type FoundRule, insertRule, listRules } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, ensureChain, ensureTable, formatChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { BridgePolicy } from "../demand.ts"
import {
  admin,
  bridgeComment,
  bridgeKey,
  bridgePorts,
  bridgeRules,
  forward,
  fromBridge,
  type NftRule,
  podComment,
  podRules,
  pods,
  portRules,
  toBridge,
  ways,
} from "./rules.ts"

/** The rules of a pod in the table of our own. */
export interface NftablesWanted {
  readonly attachment: Attachment
  /** Those of the families whose rules are in this table. */
  readonly addresses: readonly Address[]
  readonly adminChain: string
  readonly policy: BridgePolicy | undefined
}

/** Rules that belong together: all that are in a chain under one key. */
interface Group {
  readonly chain: Chain
  readonly key: string
  readonly comment: string
  readonly rules: readonly NftRule[]
}

/** Plans that the table of our own has the pod's rules and those of its bridge, as they are wanted now. */
export function planNftables(nfnetlink: Conversation, wanted: NftablesWanted): Request[] {
  const changes = groupsOf(wanted).flatMap((groups) => planGroups(nfnetlink, groups))
  const ofPod = wanted.addresses.length > 0 || wanted.policy !== undefined
  return [...(ofPod ? planLayout(nfnetlink, wanted) : []), ...changes]
}

/** Returns the rules of the bridge and of the pod, each those first without which there are no others. */
function groupsOf({ attachment, addresses, policy }: NftablesWanted): Group[][] {
  const ofBridge = bridgeRules(policy)
  const own = { key: ruleKey(attachment), comment: podComment(attachment) }
  const shared = { key: bridgeKey(attachment.network), comment: bridgeComment(attachment) }
  return [
    [fromBridge, toBridge].map((chain) => ({
      chain,
      ...shared,
      rules: ofBridge.filter((rule) => rule.chain === chain),
    })),
    [
      { chain: pods, ...own, rules: podRules(addresses) },
      { chain: bridgePorts, ...own, rules: addresses.length > 0 ? portRules(policy) : [] },
    ],
  ]
}

/** Plans that each chain has its group's rules once, in place of others under its key. */
function planGroups(nfnetlink: Conversation, groups: readonly Group[]): Request[] {
  const changes: Request[] = []
  let mayBeThere = true
  for (const { chain, key, comment, rules } of groups) {
    const found: FoundRule[] = mayBeThere || rules.length > 0 ? listRules(nfnetlink, chain, key) : []
    mayBeThere = found.length > 0
    if (found.length === rules.length && rules.every(({ expressions }, at) => says(found[at], expressions))) continue
    if (chain === bridgePorts && rules.length > 0) changes.push(ensureTable(chain.table), ensureChain(chain))
    changes.push(...found.map(({ handle }) => deleteRule(chain, handle)))
    changes.push(...rules.map(({ expressions }) => appendRule(chain, { expressions, comment })))
  }
  return changes
}

function says(found: FoundRule | undefined, expressions: NftRule["expressions"]): boolean {
  return found !== undefined && isMadeOf(found, expressions)
}

/** Plans table and chains, and the jumps that FORWARD begins with, unless they are there in their order. Rules of others there stay behind. */
function planLayout(nfnetlink: Conversation, { adminChain }: NftablesWanted): Request[] {
  const found = listRules(nfnetlink, forward)
  if (isLaidOut(found, adminChain)) return []
  const wanted = ways(adminChain)
  const old = found.filter((rule) => wanted.some((expressions) => says(rule, expressions)))
  return [
    ensureTable(forward.table),
    ...[forward, fromBridge, toBridge, pods, admin(adminChain)].map(ensureChain),
    ...old.map(({ handle }) => deleteRule(forward, handle)),
    ...wanted.reverse().map((expressions) => insertRule(forward, { expressions })),
  ]
}

/** Returns true if the jumps are there, one behind the other. */
function isLaidOut(found: readonly FoundRule[], adminChain: string): boolean {
  let at = -1
  return ways(adminChain).every((expressions) => {
    at = found.findIndex((rule, index) => index > at && says(rule, expressions))
    return at >= 0
  })
}

/** Returns the first difference from what planNftables() makes, or undefined. */
export function nftablesDifference(nfnetlink: Conversation, wanted: NftablesWanted): string | undefined {
  for (const { chain, key, rules } of groupsOf(wanted).flat()) {
    if (rules.length === 0) continue
    const found = listRules(nfnetlink, chain, key)
    if (!rules.every(({ expressions }) => found.some((rule) => says(rule, expressions)))) {
      return `a rule of the pod${chain === fromBridge || chain === toBridge ? "'s bridge" : ""} is missing in ${formatChain(chain)}`
    }
  }
  if (isLaidOut(listRules(nfnetlink, forward), wanted.adminChain)) return undefined
  return `the rules of ${formatChain(forward)} are not those that lead to ${pods.name}`
}
