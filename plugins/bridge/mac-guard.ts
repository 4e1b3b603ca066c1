import { readLivingOwners } from "../../lib/attachment/living.ts"
import { hostVethName, isHostVethNameIn, isOwnerAlias, type Owner, ownerAlias } from "../../lib/attachment/names.ts"
import { cutComment, isPlain, networkRuleKey, plain, ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Mac } from "../../lib/ip/mac.ts"
import { explainBase } from "../../lib/net/base-chain.ts"
import { type Held, type Removal, removeWithChains, together } from "../../lib/net/foreign-jumps.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { sameExpressions, targetIn } from "../../lib/netlink/netfilter/expression.ts"
import { etherSource, fromInterface, interfaceIn, transfer, verdict } from "../../lib/netlink/netfilter/phrase.ts"
import {
  appendRule,
  deleteRule,
  type FoundRule,
  flushChain,
  listRules,
  type Rule,
} from "../../lib/netlink/netfilter/rule.ts"
import {
  type Chain,
  ensureChain,
  ensureTable,
  formatChain,
  listChains,
  MAX_NAME_BYTES,
  readChain,
} from "../../lib/netlink/netfilter/ruleset.ts"
import { retried, transact } from "../../lib/netlink/netfilter/transaction.ts"
import { readLink } from "../../lib/netlink/route/link.ts"
import { sha512Hex } from "../../lib/sys/digest.ts"

/*
 * A pod's frames are dropped on their way into the bridge unless they come from the pod's own MAC address. Table, chains, rules and
 * comments are those of the Go plugin's macspoofchk: two chains per attachment, reached from one rule in PREROUTING.
 */

const table = { family: "bridge", name: "nat" } as const

const prerouting: Chain = {
  table,
  name: "PREROUTING",
  base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
}

const PREFIX = "macspoofchk-"

type Attachment = Pick<Owner, "containerId" | "ifname">

function commentOf({ containerId, ifname }: Attachment): string {
  return cutComment(`${PREFIX}${plain(containerId)}-${plain(ifname)}`)
}

const CHAIN_PREFIX = "cni-br-iface-"
const BEHIND = "-mac"

/**
 * The chain that PREROUTING leads to, and the one behind it. The Go plugin cannot make those whose names are longer than the kernel allows,
 * and makes others that `nft` does not read back: ours have a digest in the place of container and interface then.
 */
function chainsOf({ containerId, ifname }: Attachment): [Chain, Chain] {
  const name = `${CHAIN_PREFIX}${containerId}-${ifname}`
  const fits = isPlain(name) && name.length + BEHIND.length <= MAX_NAME_BYTES
  return chainsNamed(fits ? name : `${CHAIN_PREFIX}sha512-${sha512Hex(`${containerId}\n${ifname}`)}`)
}

function chainsNamed(name: string): [Chain, Chain] {
  return [
    { table, name },
    { table, name: name + BEHIND },
  ]
}

/** The rules of an attachment by chain, each chain's in order. */
function rulesFor(attachment: Attachment, veth: string, mac: Mac): { chain: Chain; rule: Rule }[] {
  const comment = commentOf(attachment)
  const [onInterface, onMac] = chainsOf(attachment)
  const rules = [
    { chain: prerouting, expressions: [...fromInterface(veth), transfer("jump", onInterface.name)] },
    { chain: onInterface, expressions: [transfer("jump", onMac.name)] },
    { chain: onMac, expressions: [...etherSource(mac), verdict("return")] },
    { chain: onMac, expressions: [verdict("drop")] },
  ]
  return rules.map(({ chain, expressions }) => ({ chain, rule: { expressions, comment } }))
}

/** Lets through `veth`, the host's end, only what comes from `mac`, in one step. Throws Conflict where PREROUTING is another's. */
export function ensureMacGuard({ netfilter }: NetworkStack, owner: Owner, veth: string, mac: Mac): void {
  const note = ruleKey(owner)
  const chains = chainsOf(owner).map((chain) => ({ ...chain, note }))
  explainBase(netfilter, [prerouting, ...chains], () =>
    transact(netfilter, () => [
      ensureTable(table),
      ...[prerouting, ...chains].map(ensureChain),
      ...(readChain(netfilter, chainsOf(owner)[0]) ? jumpsOf(netfilter, owner) : []).map(({ handle }) =>
        deleteRule(prerouting, handle),
      ),
      ...chains.map(flushChain),
      ...rulesFor(owner, veth, mac).map(({ chain, rule }) => appendRule(chain, rule)),
    ]),
  )
}

/**
 * The attachment's rules in PREROUTING. Where the chain that they lead to is missing there can be none. The comment does not tell them
 * from all others: that of `eth10` begins with that of `eth1`, and of a long container id it is cut before the interface.
 */
function jumpsOf(netfilter: Conversation, attachment: Attachment): FoundRule[] {
  const [{ name }] = chainsOf(attachment)
  return listRules(netfilter, prerouting, commentOf(attachment)).filter((rule) => targetIn(rule.expressions()) === name)
}

/**
 * The attachment has no guard any more, whoever made it. One that belongs to another network's interface of the same name in the same
 * container stays.
 */
export function removeMacGuard(stack: NetworkStack, owner: Owner): void {
  removeWithChains(stack.netfilter, () => planMacGuardRemoval(stack, owner))
}

/** For removeWithChains(): what removeMacGuard() removes. */
export function planMacGuardRemoval(stack: NetworkStack, owner: Owner): Removal {
  const { netfilter } = stack
  const chains = chainsOf(owner)
  const present = chains.filter((chain) => readChain(netfilter, chain))
  const jumps = present[0] === chains[0] ? jumpsOf(netfilter, owner) : []
  return jumps.some((jump) => guardsAnother(stack, jump, owner)) ? together([]) : planRemoval(present, jumps)
}

function guardsAnother({ kernel }: NetworkStack, jump: FoundRule, owner: Owner): boolean {
  const name = interfaceIn(jump.expressions()) ?? ""
  if (name === hostVethName(owner)) return false
  const alias = readLink(kernel, name)?.alias ?? ""
  return isOwnerAlias(alias) && alias !== ownerAlias(owner)
}

function planRemoval(chains: readonly Chain[], jumps: readonly FoundRule[]): Removal {
  return { changes: [...jumps.map(({ handle }) => deleteRule(prerouting, handle)), ...chains.map(flushChain)], chains }
}

/** What lets other MAC addresses through, or undefined if nothing does. */
export function macGuardProblem({ netfilter }: NetworkStack, owner: Owner, veth: string, mac: Mac): string | undefined {
  const wanted = rulesFor(owner, veth, mac)
  const changed = [prerouting, ...chainsOf(owner)].find((chain) => {
    const list = () => (chain === prerouting ? jumpsOf(netfilter, owner) : listRules(netfilter, chain))
    const found = retried(list).map((rule) => rule.expressions())
    const rules = wanted.filter((one) => one.chain.name === chain.name).map(({ rule }) => rule.expressions)
    return found.length !== rules.length || rules.some((rule, at) => !sameExpressions(found[at] ?? [], rule))
  })
  return changed && `the rules of ${formatChain(changed)} are not those that guard ${veth}`
}

/** What collectMacGuards() found. */
export interface CollectedGuards {
  /** What is gone, each in words. */
  readonly removed: readonly string[]
  readonly held: readonly Held[]
}

/**
 * Removes the guards of the network's attachments whose owners are not among `valid`, or if that is not known of those that are certainly gone.
 * A guard is known by its rule in PREROUTING, or if a flush took that away by its chains. Those of the Go plugin do not say which network they
 * are of.
 */
export function collectMacGuards(
  host: NetworkStack,
  network: string,
  valid: readonly Owner[] | undefined,
): CollectedGuards {
  let found: StaleGuards = { jumps: [], chains: [] }
  const held = removeWithChains(host.netfilter, () => {
    found = listStale(host, network, valid)
    return planRemoval(found.chains, found.jumps)
  })
  const rules = found.jumps.map(({ comment }) => `a rule (${JSON.stringify(comment)})`)
  const gone = found.chains.filter(({ name }) => !held.some(({ chain }) => chain.name === name))
  return { removed: [...rules, ...gone.map(formatChain)], held }
}

function listStale(host: NetworkStack, network: string, valid: readonly Owner[] | undefined): StaleGuards {
  const jumps = listRules(host.netfilter, prerouting, PREFIX)
  const chains = listChains(host.netfilter, table)
  const living = valid ?? readLivingOwners(host) // after the guards, of which each is younger than its veth
  if (!living) return { jumps: [], chains: [] }
  const veths = new Set(living.map(hostVethName))
  const isStale = (jump: FoundRule) => isHostVethNameIn(vethOf(jump), network) && !veths.has(vethOf(jump))
  const namesIn = (rules: readonly FoundRule[]) =>
    new Set(rules.flatMap((jump) => chainsNamed(targetIn(jump.expressions()) ?? "")).map(({ name }) => name))
  const [stale, kept] = [namesIn(jumps.filter(isStale)), namesIn(jumps.filter((jump) => !isStale(jump)))]
  const keys = new Set(living.map(ruleKey))
  const isLeft = ({ note = "" }: Chain) => note.startsWith(networkRuleKey(network)) && !keys.has(note)
  return {
    jumps: jumps.filter(isStale),
    chains: chains.filter((chain) => !kept.has(chain.name) && (stale.has(chain.name) || isLeft(chain))),
  }
}

interface StaleGuards {
  readonly jumps: readonly FoundRule[]
  readonly chains: readonly Chain[]
}

function vethOf(jump: FoundRule): string {
  return interfaceIn(jump.expressions()) ?? ""
}
