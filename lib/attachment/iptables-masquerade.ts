import type { Attachment } from "../cni/attachment.ts"
import type { Log } from "../cni/log.ts"
import { type Family, families } from "../ip/address.ts"
import { contains, formatPrefix, hostPrefix, networkOf, type Prefix, samePrefix } from "../ip/prefix.ts"
import { type Removal, together } from "../net/foreign-jumps.ts"
import {
  deleteListed,
  describeRule,
  type ListedRule,
  listIptablesRules,
  listIptablesRulesWith,
  listJumps,
  type PlacedRule,
  planMissing,
} from "../net/iptables.ts"
import type { Conversation, Request } from "../netlink/conversation.ts"
import { flushChain } from "../netlink/netfilter/rule.ts"
import {
  type Chain,
  ensureChain,
  ensureTable,
  formatChain,
  listChains,
  readChain,
} from "../netlink/netfilter/ruleset.ts"
import { MAX_COMMENT_BYTES } from "../netlink/netfilter/xtables/extension.ts"
import { legacyTables } from "../netlink/netfilter/xtables/legacy.ts"
import type { IptablesRule } from "../netlink/netfilter/xtables/rule.ts"
import { iptablesChain, iptablesTable } from "../netlink/netfilter/xtables/tables.ts"
import { sha512Hex } from "../sys/digest.ts"
import { networkRuleKey, ruleKey } from "./rule-comment.ts"

/*
 * The rules of the Go plugins' iptables backend, in iptables' table nat, so that either implementation finds, checks and removes what the
 * other made, and `iptables` shows it. A container has one chain in a network, whichever its interfaces there; for each address a rule of
 * POSTROUTING leads to it. Ours have notes whose they are.
 */

const ENTRY = "POSTROUTING"

const MULTICAST: Readonly<Record<Family, Prefix>> = {
  4: { address: { family: 4, value: 0xe0000000n }, length: 4 },
  6: { address: { family: 6, value: 0xffn << 120n }, length: 8 },
}

/** Describes iptables' chain that leads to those of containers, for ensureChain(). */
export function entryChain(family: Family): Chain {
  return iptablesChain(family, "nat", ENTRY)
}

function chainOf(family: Family, { network, containerId }: ContainerIn): Chain {
  return iptablesChain(family, "nat", `CNI-${sha512Hex(network + containerId).slice(0, 24)}`)
}

type ContainerIn = Pick<Attachment, "network" | "containerId">

/** Returns the comment of a container's rules, cut to the length that iptables allows. */
function commentOf({ network, containerId }: ContainerIn): string {
  return `${commentsBegin(network)}${containerId}"`.slice(0, MAX_COMMENT_BYTES)
}

function commentsBegin(network: string): string {
  return `name: "${network}" id: "`
}

/** Returns true if pods of the network with such an address are masqueraded by rules that the Go plugin's iptables backend made. */
export function isUsedByGoPlugin(nfnetlink: Conversation, network: string, family: Family): boolean {
  return listIptablesRulesWith(nfnetlink, entryChain(family), commentsBegin(network)).some(
    (rule) => rule.note === undefined && containerOf(rule, family, network) !== undefined,
  )
}

/** Plans what is missing of the rules that masquerade the addresses. */
export function planIptablesMasquerade(
  nfnetlink: Conversation,
  attachment: Attachment,
  addresses: readonly Prefix[],
): Request[] {
  return families.flatMap((family) => {
    const own = addresses.filter(({ address }) => address.family === family)
    return own.length > 0 ? planFamily(nfnetlink, family, attachment, own) : []
  })
}

function planFamily(
  nfnetlink: Conversation,
  family: Family,
  attachment: Attachment,
  addresses: readonly Prefix[],
): Request[] {
  const [entry, chain, key, comment] = [
    entryChain(family),
    chainOf(family, attachment),
    ruleKey(attachment),
    commentOf(attachment),
  ]
  const spared: PlacedRule[] = addresses.map((pod) => ({
    chain,
    rule: { destination: networkOf(pod), comment, action: { verdict: "accept" } },
    first: true,
  }))
  const beyond: PlacedRule = {
    chain,
    rule: { notDestination: MULTICAST[family], comment, action: { masquerade: true } },
  }
  const jumps: PlacedRule[] = addresses.map(({ address }) => ({
    chain: entry,
    rule: { source: hostPrefix(address), comment, action: { jump: chain.name } },
  }))
  const found = readChain(nfnetlink, chain)
    ? [...listIptablesRules(nfnetlink, chain, key), ...listJumps(nfnetlink, chain, ENTRY)]
    : []
  return [
    ensureTable(iptablesTable(family, "nat")),
    // Chains that are there are not asked for: the process would end 10 ms later.
    ...(readChain(nfnetlink, entry)?.base?.hook === entry.base?.hook ? [] : [ensureChain(entry)]),
    ...(found.length > 0 ? [] : [ensureChain({ ...chain, note: key })]),
    ...planMissing(found, spared, key),
    ...planMissing(found, [beyond]),
    ...planMissing(found, jumps, key),
  ]
}

/**
 * Plans to remove the attachment's rules, and the chain unless it is another interface's, too. Rules without a note are the attachment's if
 * it has no others, unless notes alone count.
 */
export function planIptablesMasqueradeRemoval(
  nfnetlink: Conversation,
  attachment: Attachment,
  { byNoteAlone = false } = {},
): Removal {
  const key = ruleKey(attachment)
  return together(
    families.map((family) => {
      const chain = chainOf(family, attachment)
      if (!readChain(nfnetlink, chain)) return { changes: [], chains: [] }
      const jumps = listJumps(nfnetlink, chain, ENTRY)
      const noted = jumps.filter(({ note }) => note === key)
      const going = noted.length > 0 || byNoteAlone ? noted : jumps.filter(({ note }) => note === undefined)
      return planPart(nfnetlink, chain, { jumps, going })
    }),
  )
}

interface Part {
  /** All rules that lead to the chain. */
  readonly jumps: readonly ListedRule[]
  /** Those of them that are to go. */
  readonly going: readonly ListedRule[]
}

/** Plans that these rules go, and the chain with the last of them, else the rules in it that are of the same attachments. */
function planPart(nfnetlink: Conversation, chain: Chain, { jumps, going }: Part): Removal {
  const changes = going.map(deleteListed)
  if (going.length === jumps.length) return { changes: [...changes, flushChain(chain)], chains: [chain] }
  const notes = new Set(going.map(({ note }) => note).filter((note) => note !== undefined))
  const inside = notes.size > 0 ? listIptablesRules(nfnetlink, chain).filter(({ note }) => note && notes.has(note)) : []
  return { changes: [...changes, ...inside.map(deleteListed)], chains: [] }
}

/** Says which rule is missing that masquerades the pod's address; undefined if all are there, also in the words of older Go plugins. */
export function iptablesMasqueradeProblem(
  nfnetlink: Conversation,
  attachment: Attachment,
  pod: Prefix,
): string | undefined {
  const { family } = pod.address
  const [entry, chain, network] = [entryChain(family), chainOf(family, attachment), networkOf(pod)]
  const jumps = listJumps(nfnetlink, chain, ENTRY)
  const inside = listIptablesRules(nfnetlink, chain)
  const needed: readonly Needed[] = [
    {
      among: jumps,
      rule: describeRule(entry, `-s ${formatPrefix(hostPrefix(pod.address))} -j ${chain.name}`),
      isMet: ({ source }) => source === undefined || contains(source, pod.address),
    },
    {
      among: inside,
      rule: describeRule(chain, `-d ${formatPrefix(network)} -j ACCEPT`),
      isMet: ({ destination, action }) =>
        destination !== undefined &&
        samePrefix(destination, network) &&
        "verdict" in action &&
        action.verdict === "accept",
    },
    {
      among: inside,
      rule: describeRule(chain, `! -d ${formatPrefix(MULTICAST[family])} -j MASQUERADE`),
      isMet: ({ action }) => "masquerade" in action,
    },
  ]
  const missing = needed.find(({ among, isMet }) => {
    const rules = among.map(({ read }) => read()).filter((rule) => rule !== undefined)
    return !rules.some(isMet)
  })
  return missing && `there is no rule ${missing.rule}`
}

/** A rule that CHECK looks for, in words, and the test by which one will do. */
interface Needed {
  readonly among: readonly ListedRule[]
  readonly rule: string
  readonly isMet: (rule: IptablesRule) => boolean
}

/** The rules and chains of a network's containers in one family. */
export interface NetworkChains {
  readonly network: string
  readonly family: Family
  /** The rules that lead to the chains. */
  readonly jumps: readonly ListedRule[]
  /** Chains with a note, whether anything leads there or not. */
  readonly chains: readonly Chain[]
}

/** Lists those of the network, whoever made them. */
export function listNetworkChains(nfnetlink: Conversation, network: string): NetworkChains[] {
  const key = networkRuleKey(network)
  return families.map((family) => ({
    network,
    family,
    jumps: listIptablesRulesWith(nfnetlink, entryChain(family), commentsBegin(network)).filter(
      (rule) => rule.note?.startsWith(key) ?? containerOf(rule, family, network) !== undefined,
    ),
    chains: listChains(nfnetlink, iptablesTable(family, "nat")).filter(({ note }) => note?.startsWith(key)),
  }))
}

/** Returns the container whose chain the Go plugin's rule leads to; undefined if it is none of the network's. */
function containerOf(rule: ListedRule, family: Family, network: string): string | undefined {
  const begin = commentsBegin(network)
  const { comment = "" } = rule.read() ?? {}
  const containerId = comment.startsWith(begin) ? comment.slice(begin.length, -1) : undefined
  const chain = containerId === undefined ? undefined : chainOf(family, { network, containerId })
  return chain?.name === rule.target() ? containerId : undefined
}

/** The tests that tell if rules of a key, or those of a container that have none, are of an attachment that is gone. */
export interface Stale {
  readonly byKey: (key: string) => boolean
  readonly byContainer: (containerId: string) => boolean
}

/** Plans that the stale rules go, with the chains that nothing leads to any more. Adds to `removed` what that is, in words. */
export function planIptablesCollection(
  nfnetlink: Conversation,
  { network, family, jumps, chains }: NetworkChains,
  stale: Stale,
  removed: string[],
): Removal {
  const isStale = (rule: ListedRule) =>
    rule.note === undefined ? stale.byContainer(containerOf(rule, family, network) ?? "") : stale.byKey(rule.note)
  const going = jumps.filter(isStale)
  const leads = new Set(jumps.map(({ target }) => target()))
  const orphans = chains.filter(({ name, note = "" }) => !leads.has(name) && stale.byKey(note))
  removed.push(...going.map((rule) => describeRule(rule.chain, rule.text() ?? "")), ...orphans.map(formatChain))
  const names = new Set(going.map(({ target }) => target()))
  const parts = [...names].map((name = "") => {
    const to = (rule: ListedRule) => rule.target() === name
    return planPart(nfnetlink, iptablesChain(family, "nat", name), { jumps: jumps.filter(to), going: going.filter(to) })
  })
  return together([...parts, ...orphans.map((chain) => planPart(nfnetlink, chain, { jumps: [], going: [] }))])
}

/** Says on stderr if rules of iptables-legacy, which are not in nf_tables, decide about the pods' packets, too. */
export function noticeLegacyNat(log: Log): void {
  if (!families.some((family) => legacyTables(family).includes("nat"))) return
  log.noticed(
    "iptables-legacy has a table nat on this node, whose rules this plugin neither sees nor changes: what the Go plugin made there for pods stays (iptables-legacy-save -t nat shows it; what made it should use iptables-nft)",
  )
}
