import { test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { podWith, resultOf, vrf } from "./network.ts"

test("vrf keeps to its budgets", () => {
  using node = new Node()
  const netns = podWith(node, ["addr add 10.1.0.2/24 dev eth0", "route add default via 10.1.0.1"])
  expectBudgets(vrf(node, { prevResult: resultOf(netns) }), { netns }, [
    ["ADD", 14, 90],
    ["CHECK", 2, 30],
    ["DEL", 10, 80],
  ])
})
