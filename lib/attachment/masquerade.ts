import type { Attachment } from "../cni/attachment.ts"
import { formatPrefix, hostPrefix, networkOf, type Prefix, parsePrefix } from "../ip/prefix.ts"
import { explainingForeignChains } from "../net/base-chain.ts"
import { type Removal, removeWithChains, together } from "../net/foreign-jumps.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Undo } from "../net/undo.ts"
import type { Conversation, Request } from "../netlink/conversation.ts"
import { type Expression, sameExpressions } from "../netlink/netfilter/expression.ts"
import { destination, masquerade, ofFamily, source, transfer, verdict } from "../netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, type FoundRule, flushChain, listRules } from "../netlink/netfilter/rule.ts"
import {
  type Chain,
  ensureChain,
  ensureTable,
  formatChain,
  formatTable,
  type Table,
} from "../netlink/netfilter/ruleset.ts"
import { cleanUp, retried, transact } from "../netlink/netfilter/transaction.ts"
import type { AttachmentRules, CollectedRules } from "./attachment-rules.ts"
import { isMasqueradedByIptables, planIptablesMasqueradeRemoval } from "./iptables-masquerade.ts"
import { readLivingAttachments } from "./living.ts"
import { keyIn, networkRuleKey, ruleComment, ruleKey } from "./rule-comment.ts"

/*
 * Packets that pods send beyond their network leave with the node's address. Table, chains, rules and comments are those of the Go plugins'
 * nftables backend, so that either implementation finds, checks and removes what the other made.
 */

const table: Table = {
  family: "inet",
  name: "cni_plugins_masquerade",
  comment: "Masquerading for plugins from github.com/containernetworking/plugins",
}

/** Has one rule per address of a pod. */
const checks: Chain = {
  table,
  name: "masq_checks",
  comment: "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet",
}

const postrouting: Chain = {
  table,
  name: "postrouting",
  base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
}

/** Returns the rules that lead all packets but multicast to `checks`. */
function postroutingRules(): Expression[][] {
  const multicast = ["224.0.0.0/4", "ff00::/8"]
    .map((text) => parsePrefix(text))
    .filter((prefix) => prefix !== undefined)
  return [
    ...multicast.map((prefix) => [...ofFamily(prefix.address.family), ...destination(prefix), verdict("return")]),
    [transfer("goto", checks.name)],
  ]
}

/** Returns the rule that masquerades packets from the pod's address to addresses outside its network. */
function ruleFor(pod: Prefix): Expression[] {
  const { address } = pod
  return [
    ...ofFamily(address.family),
    ...source(hostPrefix(address)),
    ...destination(networkOf(pod), { not: true }),
    masquerade,
  ]
}

/** Returns the addresses whose networks have an outside: nothing is beyond 0.0.0.0/0. */
function masqueradable(addresses: readonly Prefix[]): Prefix[] {
  return addresses.filter(({ length }) => length > 0)
}

/**
 * Masquerades packets that a new attachment sends from its addresses beyond their networks. Rules that a killed ADD left are not looked for,
 * which would mean to list those of all pods: createPodVeth() removes them, as it finds the veth that goes with them. Throws Conflict if the
 * table's name is taken by something else, KernelError.
 */
export function ensureMasquerade(host: NetworkStack, { attachment, addresses, undo }: Masquerade): void {
  const { nfnetlink } = host
  const comment = ruleComment(attachment)
  undo.add(() => removeMasquerade(host, attachment))
  explainingForeignChains(nfnetlink, [postrouting, checks], () =>
    transact(nfnetlink, () => [
      ...planLayout(nfnetlink),
      ...masqueradable(addresses).map((pod) => appendRule(checks, { expressions: ruleFor(pod), comment })),
    ]),
  )
}

export interface Masquerade {
  readonly attachment: Attachment
  /** The pod's, each with the length of its network. */
  readonly addresses: readonly Prefix[]
  readonly undo: Undo
}

/** Plans table and chains, unless the rules that hold them together are there. */
function planLayout(nfnetlink: Conversation): Request[] {
  if (isLaidOut(nfnetlink)) return []
  const rules = postroutingRules().map((expressions) => appendRule(postrouting, { expressions }))
  return [ensureTable(table), ensureChain(checks), ensureChain(postrouting), flushChain(postrouting), ...rules]
}

function isLaidOut(nfnetlink: Conversation): boolean {
  const wanted = postroutingRules()
  const found = listRules(nfnetlink, postrouting)
  return (
    found.length === wanted.length &&
    wanted.every((expressions, index) => sameExpressions(found[index]?.expressions() ?? [], expressions))
  )
}

function rulesOf(nfnetlink: Conversation, attachment: Attachment): FoundRule[] {
  return listRules(nfnetlink, checks, ruleKey(attachment))
}

/** Removes the attachment's rules, whoever made them; those of the Go plugin's iptables backend are among them. */
export function removeMasquerade({ nfnetlink }: NetworkStack, attachment: Attachment): void {
  removeWithChains(nfnetlink, () => planMasqueradeRemoval(nfnetlink, attachment))
}

/** Plans, for removeWithChains(), what removeMasquerade() removes. */
function planMasqueradeRemoval(nfnetlink: Conversation, attachment: Attachment): Removal {
  const rules = rulesOf(nfnetlink, attachment).map(({ handle }) => deleteRule(checks, handle))
  return together([
    { changes: rules, chains: [] },
    planIptablesMasqueradeRemoval(nfnetlink, "ip", attachment),
    planIptablesMasqueradeRemoval(nfnetlink, "ip6", attachment),
  ])
}

/**
 * Says why these addresses are not masqueraded for the attachment; undefined if they are, be it by rules that the Go plugin's iptables
 * backend made in iptables-nft.
 */
export function masqueradeProblem(
  { nfnetlink }: NetworkStack,
  attachment: Attachment,
  addresses: readonly Prefix[],
): string | undefined {
  return retried(() => {
    const rules = rulesOf(nfnetlink, attachment).map((rule) => rule.expressions())
    const byIptables = (pod: Prefix) =>
      isMasqueradedByIptables(nfnetlink, pod.address.family === 4 ? "ip" : "ip6", attachment)
    const missing = masqueradable(addresses).find((pod) => {
      const wanted = ruleFor(pod)
      return !rules.some((found) => sameExpressions(found, wanted)) && !byIptables(pod)
    })
    if (missing) return `no rule in chain ${checks.name} of ${formatTable(table)} masquerades ${formatPrefix(missing)}`
    if (rules.length === 0 || isLaidOut(nfnetlink)) return undefined
    return `the rules of ${formatChain(postrouting)} are not those that lead to ${checks.name}`
  })
}

/** Removes the rules of the network's attachments that are not among `valid`, or if that is not known of those that are certainly gone. */
function collectMasquerade(
  host: NetworkStack,
  network: string,
  valid: readonly Attachment[] | undefined,
): CollectedRules {
  const { nfnetlink } = host
  let stale: FoundRule[] = []
  cleanUp(nfnetlink, () => {
    const rules = listRules(nfnetlink, checks, networkRuleKey(network))
    // Read after the rules: a veth is made before its rules, so none is missed.
    const survivors = valid ?? readLivingAttachments(host)
    const known = survivors && new Set(survivors.map(ruleKey))
    stale = rules.filter(({ comment = "" }) => known && !known.has(keyIn(comment)))
    return stale.map(({ handle }) => deleteRule(checks, handle))
  })
  return { removed: stale.map(({ comment = "" }) => `a rule (${JSON.stringify(comment)})`), held: [] }
}

/** The rules that masquerade an attachment's addresses, for DEL and GC. */
export const masqueradeRules: AttachmentRules = {
  planRemoval: ({ nfnetlink }, attachment) => planMasqueradeRemoval(nfnetlink, attachment),
  collect: collectMasquerade,
}
