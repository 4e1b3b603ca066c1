import type { Conversation, Request } from "../../netlink/conversation.ts"
import { type Expression, type FoundExpression, targetIn } from "../../netlink/netfilter/expression.ts"
import { appendRule, deleteRule, listRules } from "../../netlink/netfilter/rule.ts"
import type { Layout } from "./layout.ts"
import type { PodRule } from "./rule-list.ts"

/**
 * Changes that give the Go plugin's rules the conditions that stand before its jump to them all, which is about to be written anew without.
 * Conditions of kinds that are not known here are lost, as they are at an ADD of its own that has none.
 */
export function planInheritance(netfilter: Conversation, layout: Layout, rules: readonly PodRule[]): Request[] {
  const conditions = sharedConditions(netfilter, layout)
  if (conditions.length === 0) return []
  const changes: Request[] = []
  for (const rule of rules) {
    const steps = rule.expressions()
    if (rule.note !== undefined || !rule.reading.to || !areKnown(steps)) continue
    const chain = { table: layout.table, name: rule.chain }
    changes.push(deleteRule(chain, rule.handle))
    changes.push(appendRule(chain, { expressions: [...conditions, ...steps], comment: rule.comment }))
  }
  return changes
}

/** What a packet has to be before the Go plugin asks whether it is for this host. */
function sharedConditions(netfilter: Conversation, { shared: [all, prerouting] }: Layout): readonly Expression[] {
  if (!all || !prerouting) return []
  for (const rule of listRules(netfilter, prerouting.chain)) {
    const steps = rule.expressions()
    if (rule.note !== undefined || targetIn(steps) !== all.chain.name) continue
    const conditions = steps.slice(
      0,
      steps.findIndex(({ name }) => name === "fib"),
    )
    return areKnown(conditions) ? conditions : []
  }
  return []
}

function areKnown(steps: readonly FoundExpression[]): steps is readonly Expression[] {
  return steps.every(({ data }) => data !== undefined)
}
