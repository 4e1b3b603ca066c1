import type { Family } from "../ip/address.ts"
import type { Conversation, Request } from "../netlink/conversation.ts"
import type { Sieve } from "../netlink/message.ts"
import { targetIn } from "../netlink/netfilter/expression.ts"
import {
  appendRule,
  deleteRule,
  type FoundRule,
  flushChain,
  insertRule,
  listRulesByNote,
  listRulesWith,
  notedWith,
  readRules,
} from "../netlink/netfilter/rule.ts"
import { type Chain, formatTable, readChain } from "../netlink/netfilter/ruleset.ts"
import { decodeIptablesRule, destinationPortsIn } from "../netlink/netfilter/xtables/decode.ts"
import { encodeIptablesRule } from "../netlink/netfilter/xtables/encode.ts"
import { formatIptablesRule, type IptablesRule } from "../netlink/netfilter/xtables/rule.ts"
import type { Removal } from "./foreign-jumps.ts"

/*
 * Rules and chains of iptables, as iptables-nft has them in nf_tables: those of the Go plugins' iptables backends. Rules of iptables-legacy
 * are elsewhere and cannot be seen here.
 */

/** A rule that is there. */
export interface ListedRule {
  readonly chain: Chain
  readonly handle: bigint
  /** The key of the attachment that it is of; undefined for rules that others made, and for shared ones. */
  readonly note: string | undefined
  /** Decodes which chain it leads to. */
  readonly target: () => string | undefined
  /** Decodes it; undefined if it says what no rule of these plugins does. */
  readonly read: () => IptablesRule | undefined
  /** Returns its text, by which rules are compared, and which is kept; undefined as read(). */
  readonly text: () => string | undefined
}

/** Returns the chain's rules, in order, that are of no attachment or of one whose key begins with `key`. Throws as listRules(). */
export function listIptablesRules(nfnetlink: Conversation, chain: Chain, key = ""): ListedRule[] {
  return listRulesByNote(nfnetlink, chain, key).map((rule) => listed(chain, rule))
}

/** Returns the chain's rules in whose comment, or as whose target, the text occurs. Throws as listRules(). */
export function listIptablesRulesWith(nfnetlink: Conversation, chain: Chain, text: string): ListedRule[] {
  return listRulesWith(nfnetlink, chain, text).map((rule) => listed(chain, rule))
}

/** Returns the values that `read` returns for all rules of the chain, in order, without undefined: of thousands it need not keep all they say. */
export function readIptablesRules<Value>(
  nfnetlink: Conversation,
  chain: Chain,
  read: (rule: ListedRule) => Value | undefined,
): Value[] {
  return readRules(nfnetlink, chain, (rule) => read(listed(chain, rule)))
}

/** Returns the chain's rules that ask for one of the ports by `-m multiport --dports`, or do not ask for ports in that way. Throws as listRules(). */
export function listIptablesRulesFor(nfnetlink: Conversation, chain: Chain, ports: ReadonlySet<number>): ListedRule[] {
  const steps = (expressions: Uint8Array) => destinationPortsIn(expressions)?.some((port) => ports.has(port)) !== false
  return readRules(nfnetlink, chain, (rule) => listed(chain, rule), { steps, sieve: sieveFor(ports) })
}

/** Each is looked for in each rule: more are found sooner by reading all. */
const MAX_SOUGHT = 16

/** Passes over the rules of these plugins, which have notes and ask for ports by multiport, if none of these ports is among its bytes. */
function sieveFor(ports: ReadonlySet<number>): Sieve | undefined {
  return ports.size <= MAX_SOUGHT ? notedWith(new Uint8Array(Uint16Array.from(ports).buffer), 2) : undefined
}

function listed(chain: Chain, rule: FoundRule): ListedRule {
  const read = () => decodeIptablesRule(rule, familyOf(chain))
  let text: string | undefined
  return {
    chain,
    handle: rule.handle,
    note: rule.note,
    target: () => targetIn(rule.expressions()),
    read,
    text() {
      text ??= textOf(read())
      return text || undefined
    },
  }
}

function textOf(rule: IptablesRule | undefined): string {
  return rule ? formatIptablesRule(rule) : ""
}

function familyOf({ table }: Chain): Family {
  return table.family === "ip" ? 4 : 6
}

/** Says for messages: `-A CNI-FORWARD -s 10.1.2.3/32 -j ACCEPT in table ip filter`. */
export function describeRule({ table, name }: Chain, text: string): string {
  return `-A ${name} ${text} in ${formatTable(table)}`
}

/** Change for transact(): the rule is gone. */
export function deleteListed({ chain, handle }: Pick<ListedRule, "chain" | "handle">): Request {
  return deleteRule(chain, handle)
}

/** A rule and its chain. */
export interface PlacedRule {
  readonly chain: Chain
  readonly rule: IptablesRule
  /** Set if it comes before all others of the chain, else it comes behind them. */
  readonly first?: boolean
}

/** Change for transact(): the rule is there once more, as the attachment's of that key. */
export function placeRule({ chain, rule, first }: PlacedRule, note?: string): Request {
  return (first ? insertRule : appendRule)(chain, { ...encodeIptablesRule(rule, familyOf(chain)), note })
}

/** Plans those of the rules that are not among `found`, which are all of their chains; they become the attachment's of that key. */
export function planMissing(found: readonly ListedRule[], wanted: readonly PlacedRule[], note?: string): Request[] {
  const positions = positionsIn(found, wanted)
  return wanted.filter((_, index) => positions[index] === -1).map((placed) => placeRule(placed, note))
}

/** Returns the position of each wanted rule among those found, -1 if it is not there. */
export function positionsIn(found: readonly ListedRule[], wanted: readonly PlacedRule[]): number[] {
  const present = found.map((rule) => describeRule(rule.chain, rule.text() ?? ""))
  return wanted.map(({ chain, rule }) => present.indexOf(describeRule(chain, formatIptablesRule(rule))))
}

/** Plans to remove a chain that iptables-nft made, and the rules of chain `from` of its table that lead there. */
export function planChainRemoval(nfnetlink: Conversation, chain: Chain, from: string): Removal {
  if (!readChain(nfnetlink, chain)) return { changes: [], chains: [] }
  return { changes: [...listJumps(nfnetlink, chain, from).map(deleteListed), flushChain(chain)], chains: [chain] }
}

/** Says if the chain is there and a rule of chain `from` leads to it. */
export function isReached(nfnetlink: Conversation, chain: Chain, from: string): boolean {
  return readChain(nfnetlink, chain) !== undefined && listJumps(nfnetlink, chain, from).length > 0
}

/** Returns the rules of chain `from` that lead to the chain. */
export function listJumps(nfnetlink: Conversation, chain: Chain, from: string): ListedRule[] {
  const caller = { table: chain.table, name: from }
  return listIptablesRulesWith(nfnetlink, caller, chain.name).filter(({ target }) => target() === chain.name)
}
