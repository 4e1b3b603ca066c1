import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { dummy } from "./network.ts"

test("dummy with host-local keeps to its budgets", () => {
  using node = new Node()
  expectBudgets(dummy(node), { netns: node.pod() }, [
    ["ADD", 5, 111],
    ["CHECK", 3, 44],
    ["DEL", 3, 42],
    ["DEL", 2, 29],
  ])
})
