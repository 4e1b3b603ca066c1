import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { macvlan, ofLan, plugIn } from "./network.ts"

test("macvlan with host-local keeps to its budgets", () => {
  using node = new Node()
  plugIn(node)
  expectBudgets(macvlan(node, { ipam: ofLan(node) }), { netns: node.pod() }, [
    ["ADD", 6, 114],
    ["CHECK", 4, 50],
    ["DEL", 3, 45],
    ["DEL", 2, 33],
  ])
})
