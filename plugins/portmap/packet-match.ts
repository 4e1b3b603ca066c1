import type { Prefix } from "../../lib/ip/prefix.ts"
import type { Expression } from "../../lib/netlink/netfilter/expression.ts"
import { destination, fromInterface, source, withMark } from "../../lib/netlink/netfilter/phrase.ts"

/** One thing that must be so of a packet, or with `not` must not be. */
export type Match = { readonly not: boolean } & (
  | { readonly field: "saddr" | "daddr"; readonly prefix: Prefix }
  | { readonly field: "iifname"; readonly name: string }
  | { readonly field: "mark"; readonly mark: number; readonly mask: number }
)

/** The steps of a rule that go on only with packets of which all is so. */
export function stepsOf(matches: readonly Match[]): Expression[] {
  const steps: Expression[] = []
  for (const match of matches) steps.push(...stepsOfOne(match))
  return steps
}

function stepsOfOne(match: Match): Expression[] {
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
