import type { Mac } from "../ip/mac.ts"
import type { Conversation, Request } from "../netlink/conversation.ts"
import { KernelError } from "../netlink/kernel-error.ts"
import { sameExpressions, targetIn } from "../netlink/netfilter/expression.ts"
import { etherSource, fromInterface, interfaceIn, transfer, verdict } from "../netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, type FoundRule, flushChain, listRules, type Rule } from "../netlink/netfilter/rule.ts"
import {
  type Chain,
  deleteChain,
  ensureChain,
  ensureTable,
  formatChain,
  MAX_NAME_BYTES,
  readChain,
} from "../netlink/netfilter/ruleset.ts"
import { cleanUp, retried, transact } from "../netlink/netfilter/transaction.ts"
import { readLink } from "../netlink/route/link.ts"
import { sha512Hex } from "../sys/digest.ts"
import { host } from "../sys/host.ts"
import { explainBase } from "./base-chain.ts"
import { readLivingOwners } from "./living.ts"
import { hostVethName, isHostVethNameIn, isOwnerAlias, type Owner, ownerAlias } from "./names.ts"
import { cutComment } from "./rule-comment.ts"
import type { NetworkStack } from "./stack.ts"

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
  return cutComment(`${PREFIX}${containerId}-${ifname}`)
}

const CHAIN_PREFIX = "cni-br-iface-"
const BEHIND = "-mac"

/**
 * The chain that PREROUTING leads to, and the one behind it. The Go plugin cannot make those whose names are longer than the kernel allows:
 * ours have a digest in the place of container and interface then.
 */
function chainsOf({ containerId, ifname }: Attachment): [Chain, Chain] {
  const name = `${CHAIN_PREFIX}${containerId}-${ifname}`
  const fits = host.encode(name + BEHIND).length <= MAX_NAME_BYTES
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
  const chains = chainsOf(owner)
  explainBase(netfilter, [prerouting, ...chains], () =>
    transact(netfilter, () => [
      ensureTable(table),
      ...[prerouting, ...chains].map(ensureChain),
      ...(readChain(netfilter, chains[0]) ? jumpsOf(netfilter, owner) : []).map(({ handle }) =>
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
  cleanUp(stack.netfilter, () => planMacGuardRemoval(stack, owner))
}

/** Changes for cleanUp(): those of removeMacGuard(). */
export function planMacGuardRemoval(stack: NetworkStack, owner: Owner): Request[] {
  const { netfilter } = stack
  const [first, second] = chainsOf(owner)
  if (!readChain(netfilter, first)) return []
  const jumps = jumpsOf(netfilter, owner)
  if (jumps.some((jump) => guardsAnother(stack, jump, owner))) return []
  return planRemoval(netfilter, [first, second], jumps)
}

function guardsAnother({ kernel }: NetworkStack, jump: FoundRule, owner: Owner): boolean {
  const name = interfaceIn(jump.expressions()) ?? ""
  if (name === hostVethName(owner)) return false
  const alias = readLink(kernel, name)?.alias ?? ""
  return isOwnerAlias(alias) && alias !== ownerAlias(owner)
}

function planRemoval(netfilter: Conversation, chains: readonly Chain[], jumps: readonly FoundRule[]): Request[] {
  const present = chains.filter((chain) => readChain(netfilter, chain))
  return [
    ...jumps.map(({ handle }) => deleteRule(prerouting, handle)),
    ...present.map(flushChain),
    ...present.map(deleteChain),
  ]
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

/**
 * Removes the guards of the network's veths whose owners are not among `valid`, or if that is not known of those that are certainly gone, and
 * returns their comments. Those of the Go plugin do not say which network they are of. Where not all can be removed together, as rules of
 * others lead to the chains of one, each is removed by itself in an `attempt` of its own.
 */
export function collectMacGuards(
  host: NetworkStack,
  network: string,
  valid: readonly Owner[] | undefined,
  attempt: (step: () => void) => void,
): string[] {
  const { netfilter } = host
  let stale: readonly FoundRule[] = []
  try {
    cleanUp(netfilter, () => {
      stale = listStale(host, network, valid)
      return stale.flatMap((jump) => planGuardRemoval(netfilter, jump))
    })
  } catch (error) {
    if (!(error instanceof KernelError) || stale.length < 2) throw error
    stale = stale.filter((jump) => isDone(attempt, () => removeStale(netfilter, jump)))
  }
  return stale.map(({ comment = "" }) => comment)
}

function isDone(attempt: (step: () => void) => void, step: () => void): boolean {
  let done = false
  attempt(() => {
    step()
    done = true
  })
  return done
}

function listStale(host: NetworkStack, network: string, valid: readonly Owner[] | undefined): FoundRule[] {
  const jumps = listRules(host.netfilter, prerouting, PREFIX).filter((jump) => isHostVethNameIn(vethOf(jump), network))
  const living = valid ?? readLivingOwners(host) // after the guards, of which each is younger than its veth
  const veths = living && new Set(living.map(hostVethName))
  return jumps.filter((jump) => veths && !veths.has(vethOf(jump)))
}

function vethOf(jump: FoundRule): string {
  return interfaceIn(jump.expressions()) ?? ""
}

function removeStale(netfilter: Conversation, { comment, handle }: FoundRule): void {
  cleanUp(netfilter, () => {
    const jumps = listRules(netfilter, prerouting, comment)
    return jumps.filter((jump) => jump.handle === handle).flatMap((jump) => planGuardRemoval(netfilter, jump))
  })
}

function planGuardRemoval(netfilter: Conversation, jump: FoundRule): Request[] {
  return planRemoval(netfilter, chainsNamed(targetIn(jump.expressions()) ?? ""), [jump])
}
