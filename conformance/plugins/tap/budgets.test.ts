import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { hostLocal } from "../bridge/network.ts"
import { tap } from "./network.ts"

test("tap with host-local keeps to its budgets", () => {
  using node = new Node()
  expectBudgets(tap(node, { ipam: hostLocal(node) }), { netns: node.pod() }, [
    ["ADD", 4, 107],
    ["CHECK", 3, 44],
    ["DEL", 3, 42],
    ["DEL", 2, 29],
  ])
})
