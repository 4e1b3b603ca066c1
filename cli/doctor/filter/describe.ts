import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { decodeIptablesRule } from "../../../lib/netlink/netfilter/xtables/decode.ts"
import { formatIptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { End } from "./walk.ts"

/** Says where a packet ends, as `iptables` or `nft` would show it. */
export function describeEnd({ chain, rule }: End): string {
  const list = `nft -a list chain ${chain.table.family} ${chain.table.name} ${chain.name}`
  if (!rule) return isOfIptables(chain) ? `${commandFor(chain)} -S: -P ${chain.name} DROP` : `${list}: policy drop`
  const decoded = isOfIptables(chain) && decodeIptablesRule(rule, chain.table.family === "ip" ? 4 : 6)
  if (decoded) return `${commandFor(chain)} -S ${chain.name}: -A ${chain.name} ${formatIptablesRule(decoded)}`
  return `${list}: handle ${rule.handle}${rule.comment === undefined ? "" : ` (${JSON.stringify(rule.comment)})`}`
}

/** Says if iptables-nft may have made the chain: it knows tables of these names alone. */
export function isOfIptables({ table }: Pick<Chain, "table">): boolean {
  return table.family !== "inet" && ["filter", "nat", "mangle", "raw"].includes(table.name)
}

/** Returns the command that shows and changes a chain of iptables. */
export function commandFor({ table }: Pick<Chain, "table">): string {
  return `${table.family === "ip" ? "iptables" : "ip6tables"}${table.name === "filter" ? "" : ` -t ${table.name}`}`
}
