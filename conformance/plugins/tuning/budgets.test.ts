import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { ALL, prepare, tuning } from "./network.ts"

test("tuning keeps to its budgets", () => {
  using node = new Node()
  const pod = node.pod()
  const { prevResult } = prepare(node, pod)
  const { config } = tuning(node, { ...ALL, prevResult })
  const ask = (command: string, more: object = {}) =>
    node.trace("tuning", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 2, systemCalls: 54 })
  const told = { prevResult: added.outcome.result }
  expectBudget(ask("CHECK", told), { requests: 1, systemCalls: 32 })
  expectBudget(ask("DEL", told), { requests: 2, systemCalls: 30 })
  expectBudget(ask("DEL", told), { requests: 0, systemCalls: 11 })
})
