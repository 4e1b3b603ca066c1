import "../../lib/sys/node/register.ts"
import { type Family, families } from "../../lib/ip/address.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { appendRule, type FoundRule, insertRule, readTableRules } from "../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { decodeIptablesRule } from "../../lib/netlink/netfilter/xtables/decode.ts"
import { encodeIptablesRule } from "../../lib/netlink/netfilter/xtables/encode.ts"
import { legacyTables } from "../../lib/netlink/netfilter/xtables/legacy.ts"
import { formatIptablesRule, type IptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { type IptablesTable, iptablesChain, iptablesTable } from "../../lib/netlink/netfilter/xtables/tables.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import type { Node } from "../lab/node.ts"
import { output } from "../lab/run.ts"

/** A rule, and where it is. */
export interface Placed {
  readonly family: Family
  readonly table: IptablesTable
  readonly chain: string
  readonly rule: IptablesRule
  /** Before all others of its chain. */
  readonly first?: boolean
}

export const program = (family: Family) => (family === 4 ? "iptables" : "ip6tables")

/** Lists what `iptables-save` and `ip6tables-save` print of chains and rules, without counters, each line as a command. */
export function saved(node: Node): string[] {
  return families.flatMap((family) => {
    const lines = output(node.inside([`${program(family)}-save`])).split("\n")
    let table = ""
    return lines.flatMap((line) => {
      if (line.startsWith("*")) table = line.slice(1)
      return /^[-:]/.test(line) ? `${program(family)} -t ${table} ${line.replace(/ \[\d+:\d+\]$/, "")}` : []
    })
  })
}

/** Lists the rules among them. */
export function savedRules(node: Node): string[] {
  return saved(node).filter((line) => line.includes(" -A "))
}

/** Writes the rule as `savedRules` has it. */
export function format({ family, table, chain, rule }: Placed): string {
  return `${program(family)} -t ${table} -A ${chain} ${formatIptablesRule(rule)}`
}

/** Has ours read all rules of the tables filter and nat; undefined stands for one that it does not understand. */
export function read(node: Node): (Placed | undefined)[] {
  using stack = NetworkStack.pod(node.path)
  const keep = (rule: FoundRule) => rule
  return families.flatMap((family) =>
    (["filter", "nat"] as const).flatMap((table) =>
      readTableRules(stack.nfnetlink, iptablesTable(family, table), keep).map((found) => {
        const rule = decodeIptablesRule(found, family)
        return rule && { family, table, chain: found.chain, rule }
      }),
    ),
  )
}

/** Has ours make the rules, and the chains that they are in and lead to. */
export function write(node: Node, rules: readonly Placed[]): void {
  using stack = NetworkStack.pod(node.path)
  transact(stack.nfnetlink, () => [
    ...rules.flatMap(({ family, table }) => ensureTable(iptablesTable(family, table))),
    ...rules.flatMap(({ family, table, chain, rule: { action } }) => {
      const names = "jump" in action ? [chain, action.jump] : [chain]
      return names.map((name) => ensureChain(iptablesChain(family, table, name)))
    }),
    ...rules.map(({ family, table, chain, rule, first }) =>
      (first ? insertRule : appendRule)(iptablesChain(family, table, chain), encodeIptablesRule(rule, family)),
    ),
  ])
}

/** Has ours name the tables of iptables-legacy on this node. */
export function legacyOn(node: Node): string[][] {
  using namespace = new NetworkNamespace(node.path)
  return namespace.inside(() => families.map(legacyTables))
}
