import { attachmentAlias, isAttachmentAlias } from "../../lib/attachment/alias.ts"
import type { AttachmentRules, CollectedRules } from "../../lib/attachment/attachment-rules.ts"
import { readLivingAttachments } from "../../lib/attachment/living.ts"
import { hostVethName, isHostVethNameIn } from "../../lib/attachment/names.ts"
import { cutComment, isPlain, networkRuleKey, plain, ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Mac } from "../../lib/ip/mac.ts"
import { explainingForeignChains } from "../../lib/net/base-chain.ts"
import { type Removal, removeWithChains, together } from "../../lib/net/foreign-jumps.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { isMadeOf, targetIn } from "../../lib/netlink/netfilter/expression.ts"
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
 * Frames from a pod are dropped before they enter the bridge unless their source is the pod's own MAC address. Table, chains, rules and
 * comments are those of the Go plugin's macspoofchk: two chains per attachment, reached by one rule in PREROUTING.
 */

const table = { family: "bridge", name: "nat" } as const

const prerouting: Chain = {
  table,
  name: "PREROUTING",
  base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
}

const PREFIX = "macspoofchk-"

function commentOf({ containerId, ifname }: Attachment): string {
  return cutComment(`${PREFIX}${plain(containerId)}-${plain(ifname)}`)
}

const CHAIN_PREFIX = "cni-br-iface-"
const MAC_CHAIN_SUFFIX = "-mac"

/**
 * Returns the chain that PREROUTING jumps to, and the one that this jumps to. The Go plugin fails if the names are too long for the kernel,
 * and makes some that `nft` does not read back. Then ours have a digest instead of container and interface.
 */
function chainsOf({ containerId, ifname }: Attachment): [Chain, Chain] {
  const name = `${CHAIN_PREFIX}${containerId}-${ifname}`
  const fits = isPlain(name) && name.length + MAC_CHAIN_SUFFIX.length <= MAX_NAME_BYTES
  return chainsNamed(fits ? name : `${CHAIN_PREFIX}sha512-${sha512Hex(`${containerId}\n${ifname}`)}`)
}

function chainsNamed(name: string): [Chain, Chain] {
  return [
    { table, name },
    { table, name: name + MAC_CHAIN_SUFFIX },
  ]
}

/** Returns an attachment's rules with their chains, in order. */
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

/** Drops frames from `veth`, the host end, unless `mac` is their source. Throws Conflict if another program has PREROUTING. */
export function ensureMacGuard({ nfnetlink }: NetworkStack, attachment: Attachment, veth: string, mac: Mac): void {
  const note = ruleKey(attachment)
  const chains = chainsOf(attachment).map((chain) => ({ ...chain, note }))
  explainingForeignChains(nfnetlink, [prerouting, ...chains], () =>
    transact(nfnetlink, () => [
      ensureTable(table),
      ...[prerouting, ...chains].map(ensureChain),
      ...(readChain(nfnetlink, chainsOf(attachment)[0]) ? jumpsOf(nfnetlink, attachment) : []).map(({ handle }) =>
        deleteRule(prerouting, handle),
      ),
      ...chains.map(flushChain),
      ...rulesFor(attachment, veth, mac).map(({ chain, rule }) => appendRule(chain, rule)),
    ]),
  )
}

/**
 * Lists the attachment's rules in PREROUTING; none can exist if their chain is missing. The comment is not enough to tell them apart: that
 * of `eth10` begins with that of `eth1`, and with a long container id it is cut before the interface.
 */
function jumpsOf(nfnetlink: Conversation, attachment: Attachment): FoundRule[] {
  const [{ name }] = chainsOf(attachment)
  return listRules(nfnetlink, prerouting, commentOf(attachment)).filter((rule) => targetIn(rule.expressions()) === name)
}

/**
 * Removes the attachment's guard, whoever made it. It stays if it belongs to an interface of the same name that another network has in the
 * container.
 */
export function removeMacGuard(stack: NetworkStack, attachment: Attachment): void {
  removeWithChains(stack.nfnetlink, () => planMacGuardRemoval(stack, attachment))
}

/** Plans removeMacGuard(), for removeWithChains(). */
function planMacGuardRemoval(stack: NetworkStack, attachment: Attachment): Removal {
  const { nfnetlink } = stack
  const chains = chainsOf(attachment)
  const present = chains.filter((chain) => readChain(nfnetlink, chain))
  const jumps = present[0] === chains[0] ? jumpsOf(nfnetlink, attachment) : []
  return jumps.some((jump) => guardsAnother(stack, jump, attachment)) ? together([]) : removalOf(present, jumps)
}

function guardsAnother({ rtnetlink }: NetworkStack, jump: FoundRule, attachment: Attachment): boolean {
  const name = interfaceIn(jump.expressions()) ?? ""
  if (name === hostVethName(attachment)) return false
  const alias = readLink(rtnetlink, name)?.alias ?? ""
  return isAttachmentAlias(alias) && alias !== attachmentAlias(attachment)
}

function removalOf(chains: readonly Chain[], jumps: readonly FoundRule[]): Removal {
  return { changes: [...jumps.map(({ handle }) => deleteRule(prerouting, handle)), ...chains.map(flushChain)], chains }
}

/** Returns the first difference from what ensureMacGuard() makes, or undefined. */
export function macGuardProblem(
  { nfnetlink }: NetworkStack,
  attachment: Attachment,
  veth: string,
  mac: Mac,
): string | undefined {
  const wanted = rulesFor(attachment, veth, mac)
  const changed = [prerouting, ...chainsOf(attachment)].find((chain) => {
    const list = () => (chain === prerouting ? jumpsOf(nfnetlink, attachment) : listRules(nfnetlink, chain))
    const found = retried(list)
    const rules = wanted.filter((one) => one.chain.name === chain.name).map(({ rule }) => rule.expressions)
    return found.length !== rules.length || found.some((rule, at) => !isMadeOf(rule, rules[at] ?? []))
  })
  return changed && `the rules of ${formatChain(changed)} are not those that guard ${veth}`
}

/**
 * Removes the guards of the network's attachments that are not in `valid`, or, if `valid` is undefined, of those that are certainly gone.
 * A guard is known by its rule in PREROUTING, or, if that was flushed, by its chains. The Go plugin's chains do not name their network.
 */
function collectMacGuards(
  host: NetworkStack,
  network: string,
  valid: readonly Attachment[] | undefined,
): CollectedRules {
  let found: StaleGuards = { jumps: [], chains: [] }
  const held = removeWithChains(host.nfnetlink, () => {
    found = listStale(host, network, valid)
    return removalOf(found.chains, found.jumps)
  })
  const rules = found.jumps.map(({ comment }) => `a rule (${JSON.stringify(comment)})`)
  const gone = found.chains.filter(({ name }) => !held.some(({ chain }) => chain.name === name))
  return { removed: [...rules, ...gone.map(formatChain)], held }
}

function listStale(host: NetworkStack, network: string, valid: readonly Attachment[] | undefined): StaleGuards {
  const jumps = listRules(host.nfnetlink, prerouting, PREFIX)
  const chains = listChains(host.nfnetlink, table)
  // Read after the guards: a veth is made before its guard, so none is missed.
  const survivors = valid ?? readLivingAttachments(host)
  if (!survivors) return { jumps: [], chains: [] }
  const veths = new Set(survivors.map(hostVethName))
  const isStale = (jump: FoundRule) => isHostVethNameIn(vethOf(jump), network) && !veths.has(vethOf(jump))
  const namesIn = (rules: readonly FoundRule[]) =>
    new Set(rules.flatMap((jump) => chainsNamed(targetIn(jump.expressions()) ?? "")).map(({ name }) => name))
  const [stale, kept] = [namesIn(jumps.filter(isStale)), namesIn(jumps.filter((jump) => !isStale(jump)))]
  const keys = new Set(survivors.map(ruleKey))
  const isLeftover = ({ note = "" }: Chain) => note.startsWith(networkRuleKey(network)) && !keys.has(note)
  return {
    jumps: jumps.filter(isStale),
    chains: chains.filter((chain) => !kept.has(chain.name) && (stale.has(chain.name) || isLeftover(chain))),
  }
}

interface StaleGuards {
  readonly jumps: readonly FoundRule[]
  readonly chains: readonly Chain[]
}

function vethOf(jump: FoundRule): string {
  return interfaceIn(jump.expressions()) ?? ""
}

/** The guards of attachments, for DEL and GC. */
export const macGuardRules: AttachmentRules = {
  planRemoval: planMacGuardRemoval,
  collect: collectMacGuards,
  guard: true,
}
