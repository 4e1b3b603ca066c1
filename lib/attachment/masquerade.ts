import type { Attachment } from "../cni/attachment.ts"
import type { Log } from "../cni/log.ts"
import { families } from "../ip/address.ts"
import { formatPrefix, hostPrefix, networkOf, type Prefix, parsePrefix } from "../ip/prefix.ts"
import { explainingForeignChains } from "../net/base-chain.ts"
import { type Removal, removeWithChains, together } from "../net/foreign-jumps.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Undo } from "../net/undo.ts"
import type { Conversation, Request } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { ANCHOR, anchoredRules, listAnchors, mayBeAnchored, readAnchor } from "../netlink/netfilter/anchor.ts"
import { isAmong, isMadeOf, type Step } from "../netlink/netfilter/expression.ts"
import { destination, masquerade, ofFamily, source, transfer, verdict } from "../netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, type FoundRule, flushChain, listRules, placed } from "../netlink/netfilter/rule.ts"
import {
  type Chain,
  ensureChain,
  ensureTable,
  formatChain,
  formatTable,
  type Table,
} from "../netlink/netfilter/ruleset.ts"
import { retried, transact } from "../netlink/netfilter/transaction.ts"
import type { AttachmentRules, CollectedRules } from "./attachment-rules.ts"
import type { MasqueradeBackend } from "./interface-keys.ts"
import {
  entryChain,
  iptablesMasqueradeProblem,
  isUsedByGoPlugin,
  listNetworkChains,
  noticeLegacyNat,
  planIptablesCollection,
  planIptablesMasquerade,
  planIptablesMasqueradeRemoval,
  type Stale,
} from "./iptables-masquerade.ts"
import { readLivingAttachments } from "./living.ts"
import { keyIn, networkRuleKey, ruleComment, ruleKey } from "./rule-comment.ts"

/*
 * Packets that pods send beyond their network leave with the node's address. Table, chains, rules and comments are those of the Go plugins'
 * nftables backend, so that either implementation finds, checks and removes what the other made; iptables-masquerade.ts has those of their
 * iptables backend.
 */

const table: Table = {
  family: "inet",
  name: "cni_plugins_masquerade",
  comment: "Masquerading for plugins from github.com/containernetworking/plugins",
}

/** Has one rule per address of a pod. */
const checks: Chain = placed({
  table,
  name: "masq_checks",
  comment: "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet",
})

const postrouting: Chain = placed({
  table,
  name: "postrouting",
  base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
})

const multicast = ["224.0.0.0/4", "ff00::/8"].map((text) => parsePrefix(text)).filter((prefix) => prefix !== undefined)

/** Lead all packets but multicast to `checks`. */
const postroutingRules: readonly (readonly Step[])[] = [
  ...multicast.map((prefix) => [...ofFamily(prefix.address.family), ...destination(prefix), verdict("return")]),
  [transfer("goto", checks.name)],
]

/** Returns the rule that masquerades packets from the pod's address to addresses outside its network. */
function ruleFor(pod: Prefix): Step[] {
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
export function ensureMasquerade(host: NetworkStack, { attachment, backend, addresses, undo, log }: Masquerade): void {
  const { nfnetlink } = host
  const pods = masqueradable(addresses)
  undo.add(() => removeMasquerade(host, attachment))
  if (backend === "iptables") noticeLegacyNat(log)
  const change =
    chooseBackend(nfnetlink, backend, attachment, pods) === "iptables"
      ? { chains: families.map(entryChain), plan: () => planIptablesMasquerade(nfnetlink, attachment, pods) }
      : { chains: [postrouting, checks], plan: () => planNftablesMasquerade(nfnetlink, attachment, pods) }
  const add = () => explainingForeignChains(nfnetlink, change.chains, () => transact(nfnetlink, change.plan))
  try {
    add()
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    removeMasquerade(host, attachment) // the attachment has rules already, or their anchor
    add()
  }
}

export interface Masquerade {
  readonly attachment: Attachment
  readonly backend: MasqueradeBackend
  /** The pod's, each with the length of its network. */
  readonly addresses: readonly Prefix[]
  readonly undo: Undo
  readonly log: Log
}

/** Returns nftables, unless iptables is asked for, or the Go plugin uses it for the network's pods: a node has them all in one place. */
function chooseBackend(
  nfnetlink: Conversation,
  backend: MasqueradeBackend,
  { network }: Attachment,
  [first]: readonly Prefix[],
): MasqueradeBackend {
  if (backend !== "either" || !first) return backend
  return retried(() => isUsedByGoPlugin(nfnetlink, network, first.address.family)) ? "iptables" : "nftables"
}

function planNftablesMasquerade(nfnetlink: Conversation, attachment: Attachment, pods: readonly Prefix[]): Request[] {
  const comment = ruleComment(attachment)
  const rules = pods.map((pod) => ({ chain: checks, rule: { expressions: ruleFor(pod), comment } }))
  const added = mayBeAnchored(rules.length)
    ? anchoredRules(anchorOf(attachment), rules)
    : rules.map(({ chain, rule }) => appendRule(chain, rule))
  return [...planLayout(nfnetlink), ...added]
}

/** Returns the anchor of the attachment's rules, which spares reading those of all pods. */
function anchorOf(attachment: Attachment): Chain {
  return { table, name: ANCHOR + ruleKey(attachment) }
}

/** Plans table and chains, unless the rules that hold them together are there. */
function planLayout(nfnetlink: Conversation): Request[] {
  if (isLaidOut(nfnetlink)) return []
  const rules = postroutingRules.map((expressions) => appendRule(postrouting, { expressions }))
  return [ensureTable(table), ensureChain(checks), ensureChain(postrouting), flushChain(postrouting), ...rules]
}

function isLaidOut(nfnetlink: Conversation): boolean {
  const found = listRules(nfnetlink, postrouting)
  return (
    found.length === postroutingRules.length &&
    found.every((rule, index) => isMadeOf(rule, postroutingRules[index] ?? []))
  )
}

interface OwnRules {
  readonly rules: readonly FoundRule[]
  /** Their anchor, if it is there. */
  readonly anchors: readonly Chain[]
}

/** Reads all rules of the chain only if the attachment's have no anchor, as those of the Go plugin. */
function rulesOf(nfnetlink: Conversation, attachment: Attachment): OwnRules {
  const key = ruleKey(attachment)
  const anchor = readAnchor(
    nfnetlink,
    anchorOf(attachment),
    [checks],
    ({ comment }) => comment?.startsWith(key) === true,
  )
  return { rules: anchor?.rules ?? listRules(nfnetlink, checks, key), anchors: anchor ? [anchor.chain] : [] }
}

/** Removes the rules that bear the attachment's key, in a comment or a note. */
export function removeMasquerade({ nfnetlink }: NetworkStack, attachment: Attachment): void {
  removeWithChains(nfnetlink, () => planMasqueradeRemoval(nfnetlink, attachment, { byNoteAlone: true }))
}

/** Plans, for removeWithChains(), to remove the attachment's rules. */
function planMasqueradeRemoval(
  nfnetlink: Conversation,
  attachment: Attachment,
  options?: { readonly byNoteAlone: boolean },
): Removal {
  const { rules, anchors } = rulesOf(nfnetlink, attachment)
  const changes = rules.map(({ handle }) => deleteRule(checks, handle))
  return together([{ changes, chains: anchors }, planIptablesMasqueradeRemoval(nfnetlink, attachment, options)])
}

/** Says why these addresses are not masqueraded for the attachment; undefined if they are, whichever backend's rules do it. */
export function masqueradeProblem(
  { nfnetlink }: NetworkStack,
  { attachment, backend, addresses }: Pick<Masquerade, "attachment" | "backend" | "addresses">,
): string | undefined {
  return retried(() => {
    const { rules } = rulesOf(nfnetlink, attachment)
    for (const pod of masqueradable(addresses)) {
      if (isAmong(rules, ruleFor(pod))) continue
      const byIptables = iptablesMasqueradeProblem(nfnetlink, attachment, pod)
      if (byIptables === undefined) continue
      if (backend === "iptables") return byIptables
      return `no rule in chain ${checks.name} of ${formatTable(table)} masquerades ${formatPrefix(pod)}`
    }
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
  let removed: string[] = []
  const held = removeWithChains(nfnetlink, () => {
    const rules = listRules(nfnetlink, checks, networkRuleKey(network))
    const byIptables = listNetworkChains(nfnetlink, network)
    // Read after the rules: a veth is made before its rules, so none is missed.
    const stale = staleAmong(valid, valid ?? readLivingAttachments(host))
    const going = rules.filter(({ comment = "" }) => stale.byKey(keyIn(comment)))
    const isStale = (key: string) => key.startsWith(networkRuleKey(network)) && stale.byKey(key)
    removed = going.map(({ comment = "" }) => `a rule (${JSON.stringify(comment)})`)
    return together([
      {
        changes: going.map(({ handle }) => deleteRule(checks, handle)),
        chains: listAnchors(nfnetlink, table, isStale),
      },
      ...byIptables.map((chains) => planIptablesCollection(nfnetlink, chains, stale, removed)),
    ])
  })
  return { removed, held }
}

/** Rules that bear no key may be of a pod of the Go plugin, which has no veth that says whose it is: only the runtime knows if it is gone. */
function staleAmong(valid: readonly Attachment[] | undefined, survivors: readonly Attachment[] | undefined): Stale {
  const keys = survivors && new Set(survivors.map(ruleKey))
  const containers = valid && new Set(valid.map(({ containerId }) => containerId))
  return {
    byKey: (key) => keys !== undefined && !keys.has(key),
    byContainer: (containerId) => containers !== undefined && !containers.has(containerId),
  }
}

/** The rules that masquerade an attachment's addresses, for DEL and GC. */
export const masqueradeRules: AttachmentRules = {
  planRemoval: ({ nfnetlink }, attachment) => planMasqueradeRemoval(nfnetlink, attachment),
  collect: collectMasquerade,
}
