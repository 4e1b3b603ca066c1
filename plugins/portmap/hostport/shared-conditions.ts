import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import {
  type Expression,
  encodeStep,
  type FoundExpression,
  targetIn,
} from "../../../lib/netlink/netfilter/expression.ts"
import { readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { appendRule, deleteRule, type FoundRule, listRules } from "../../../lib/netlink/netfilter/rule.ts"
import type { Layout } from "./layout.ts"
import { readPodRules } from "./rule-list.ts"

/**
 * Plans to copy the conditions in the Go plugin's shared rule to each of its pod rules, except those in `removed`: planLayout() writes the
 * shared rule anew without conditions. Conditions of unknown kinds are lost, as they are at an ADD of the Go plugin without conditions.
 */
export function planConditionCopies(
  nfnetlink: Conversation,
  layout: Layout,
  removed: ReadonlySet<bigint>,
): Iterable<Request> {
  const conditions = sharedConditions(nfnetlink, layout)
  if (conditions.length === 0) return []
  return readPodRules(nfnetlink, layout, (rule) => {
    return rule.note !== undefined || removed.has(rule.handle) ? undefined : copyConditions(layout, rule, conditions)
  }).flat()
}

function copyConditions({ table }: Layout, rule: FoundRule, conditions: readonly Expression[]): Request[] | undefined {
  const own = rule.expressions()
  if (!readRule(own).to || !areKnown(own)) return undefined
  const chain = { table, name: rule.chain }
  const expressions = [...conditions, ...own].map(encodeStep)
  return [deleteRule(chain, rule.handle), appendRule(chain, { expressions, comment: rule.comment })]
}

/** Returns the expressions before `fib` in the Go plugin's shared rule: the conditions of the pod that was added last. */
function sharedConditions(nfnetlink: Conversation, { shared: [all, prerouting] }: Layout): readonly Expression[] {
  if (!all || !prerouting) return []
  for (const rule of listRules(nfnetlink, prerouting.chain)) {
    const expressions = rule.expressions()
    if (rule.note !== undefined || targetIn(expressions) !== all.chain.name) continue
    const conditions = expressions.slice(
      0,
      expressions.findIndex(({ name }) => name === "fib"),
    )
    return areKnown(conditions) ? conditions : []
  }
  return []
}

function areKnown(expressions: readonly FoundExpression[]): expressions is readonly Expression[] {
  return expressions.every(({ data }) => data !== undefined)
}
