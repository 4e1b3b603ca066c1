import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { type Expression, type FoundExpression, targetIn } from "../../../lib/netlink/netfilter/expression.ts"
import { readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { appendRule, deleteRule, type FoundRule, listRules } from "../../../lib/netlink/netfilter/rule.ts"
import type { Layout } from "./layout.ts"
import { readPodRules } from "./rule-list.ts"

/**
 * Changes that give the Go plugin's rules, but those that are about to go, the conditions that stand before its jump to them all, which is
 * about to be written anew without. Conditions of kinds that are not known here are lost, as they are at an ADD of its own that has none.
 */
export function planInheritance(nfnetlink: Conversation, layout: Layout, gone: ReadonlySet<bigint>): Iterable<Request> {
  const conditions = sharedConditions(nfnetlink, layout)
  if (conditions.length === 0) return []
  return readPodRules(nfnetlink, layout, (rule) => {
    return rule.note !== undefined || gone.has(rule.handle) ? undefined : inherit(layout, rule, conditions)
  }).flat()
}

function inherit({ table }: Layout, rule: FoundRule, conditions: readonly Expression[]): Request[] | undefined {
  const steps = rule.expressions()
  if (!readRule(steps).to || !areKnown(steps)) return undefined
  const chain = { table, name: rule.chain }
  const expressions = [...conditions, ...steps]
  return [deleteRule(chain, rule.handle), appendRule(chain, { expressions, comment: rule.comment })]
}

/** What a packet has to be before the Go plugin asks whether it is for this host. */
function sharedConditions(nfnetlink: Conversation, { shared: [all, prerouting] }: Layout): readonly Expression[] {
  if (!all || !prerouting) return []
  for (const rule of listRules(nfnetlink, prerouting.chain)) {
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
