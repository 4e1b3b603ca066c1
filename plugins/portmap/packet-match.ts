import type { Prefix } from "../../lib/ip/prefix.ts"
import type { Step } from "../../lib/netlink/netfilter/expression.ts"
import { destination, fromInterface, source, withMark } from "../../lib/netlink/netfilter/phrase.ts"

/** A condition on packets; `not` negates it. */
export type Match = { readonly not: boolean } & (
  | { readonly field: "saddr" | "daddr"; readonly prefix: Prefix }
  | { readonly field: "iifname"; readonly name: string }
  | { readonly field: "mark"; readonly mark: number; readonly mask: number }
)

/** Returns the expressions of a rule that let only packets pass that meet all conditions. */
export function expressionsOf(matches: readonly Match[]): Step[] {
  const expressions: Step[] = []
  for (const match of matches) expressions.push(...expressionsOfOne(match))
  return expressions
}

function expressionsOfOne(match: Match): Step[] {
  switch (match.field) {
    case "saddr":
      return source(match.prefix, match)
    case "daddr":
      return destination(match.prefix, match)
    case "iifname":
      return fromInterface(match.name, match)
    case "mark":
      return withMark(match.mark, match.mask, match)
  }
}
