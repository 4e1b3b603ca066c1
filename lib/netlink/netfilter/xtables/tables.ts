import type { BaseChain, Chain } from "../ruleset.ts"

/** iptables' built-in chains: it makes each when it first adds a rule to it, and a user may have given it another policy. */
const BUILT_IN = {
  FORWARD: { table: "filter", base: { type: "filter", hook: "forward", priority: 0 } },
  PREROUTING: { table: "nat", base: { type: "nat", hook: "prerouting", priority: -100 } },
  OUTPUT: { table: "nat", base: { type: "nat", hook: "output", priority: -100 } },
  POSTROUTING: { table: "nat", base: { type: "nat", hook: "postrouting", priority: 100 } },
} as const satisfies Record<string, { table: string; base: BaseChain }>

/** Describes such a chain for ensureChain(), without a policy. */
export function builtInChain(family: "ip" | "ip6", name: keyof typeof BUILT_IN): Chain {
  const { table, base } = BUILT_IN[name]
  return { table: { family, name: table }, name, base }
}
