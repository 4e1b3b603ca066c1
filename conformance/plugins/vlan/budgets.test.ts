import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { ofLan, plugIn } from "../macvlan/network.ts"
import { vlan } from "./network.ts"

test("vlan with host-local keeps to its budgets", () => {
  using node = new Node()
  plugIn(node)
  expectBudgets(vlan(node, { ipam: ofLan(node) }), { netns: node.pod() }, [
    ["ADD", 6, 114],
    ["CHECK", 4, 50],
    ["DEL", 3, 45],
    ["DEL", 2, 33],
  ])
})
