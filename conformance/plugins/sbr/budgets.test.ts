import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { podOfTwo, Sbr } from "./network.ts"

test("sbr keeps to its budgets", () => {
  using node = new Node()
  const netns = podOfTwo(node)
  expectBudgets(new Sbr(node, netns), { netns, ifname: "net1" }, [
    ["ADD", 11, 45],
    ["CHECK", 2, 24],
    ["DEL", 5, 29],
    ["DEL", 3, 25],
  ])
})
