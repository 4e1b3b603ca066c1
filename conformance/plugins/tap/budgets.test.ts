import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { hostLocal } from "../bridge/network.ts"
import { tap } from "./network.ts"

test("tap with host-local keeps to its budgets", () => {
  using node = new Node()
  const pod = node.pod()
  const { config } = tap(node, { ipam: hostLocal(node) })
  const ask = (command: string, more: object = {}) =>
    node.trace("tap", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 5, systemCalls: 116 })
  expectBudget(ask("CHECK", { prevResult: added.outcome.result }), { requests: 3, systemCalls: 44 })
  expectBudget(ask("DEL"), { requests: 3, systemCalls: 42 })
  expectBudget(ask("DEL"), { requests: 2, systemCalls: 29 })
})
