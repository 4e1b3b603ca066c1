import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { ALL, prepare, tuning } from "./network.ts"

test("tuning keeps to its budgets", () => {
  using node = new Node()
  const netns = node.pod()
  const { prevResult } = prepare(node, netns)
  expectBudgets(tuning(node, { ...ALL, prevResult }), { netns }, [
    ["ADD", 2, 45],
    ["CHECK", 1, 23],
    ["DEL", 2, 24],
    ["DEL", 0, 5],
  ])
})
