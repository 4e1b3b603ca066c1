import type { Family } from "../../../ip/address.ts"
import type { BaseChain, Chain, Table } from "../ruleset.ts"

/** The tables of iptables that rules here are in. */
export type IptablesTable = "filter" | "nat"

/** iptables' built-in chains: it makes each when it first adds a rule to it, and a user may have given it another policy. */
const BUILT_IN: Readonly<Record<IptablesTable, Readonly<Record<string, BaseChain | undefined>>>> = {
  filter: { FORWARD: { type: "filter", hook: "forward", priority: 0 } },
  nat: {
    PREROUTING: { type: "nat", hook: "prerouting", priority: -100 },
    OUTPUT: { type: "nat", hook: "output", priority: -100 },
    POSTROUTING: { type: "nat", hook: "postrouting", priority: 100 },
  },
}

/** Returns the table as iptables-nft has it. */
export function iptablesTable(family: Family, name: IptablesTable): Table {
  return { family: family === 4 ? "ip" : "ip6", name }
}

/** Describes a chain of the table for ensureChain(): a built-in one with its hook, without a policy. */
export function iptablesChain(family: Family, table: IptablesTable, name: string): Chain {
  return { table: iptablesTable(family, table), name, base: BUILT_IN[table][name] }
}
