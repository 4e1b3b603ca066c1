import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { dummy } from "./network.ts"

test("dummy with host-local keeps to its budgets", () => {
  using node = new Node()
  const pod = node.pod()
  const { config } = dummy(node)
  const ask = (command: string, more: object = {}) =>
    node.trace("dummy", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 6, systemCalls: 114 })
  expectBudget(ask("CHECK", { prevResult: added.outcome.result }), { requests: 3, systemCalls: 44 })
  expectBudget(ask("DEL"), { requests: 3, systemCalls: 42 })
  expectBudget(ask("DEL"), { requests: 2, systemCalls: 29 })
})
