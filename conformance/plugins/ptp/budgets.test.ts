import { test } from "vitest"
import { expectBudgets, type Step } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { DUAL, hostLocal, V4 } from "../bridge/network.ts"
import { ptp } from "./network.ts"

test.each<[string, readonly string[], readonly Step[]]>([
  [
    "IPv4",
    [V4],
    [
      ["ADD", 5, 113],
      ["CHECK", 6, 56],
      ["DEL", 7, 57],
      ["DEL", 7, 58],
    ],
  ],
  [
    "dual stack",
    DUAL,
    [
      ["ADD", 6, 143],
      ["CHECK", 8, 65],
      ["DEL", 7, 61],
      ["DEL", 7, 58],
    ],
  ],
])("%s: ptp with host-local and a default route keeps to its budgets", (_, subnets, steps) => {
  using node = new Node()
  ptp(node, { name: "first", ipam: hostLocal(node, ["10.1.0.0/24", "fd01::/64"]) }).connect(node.pod())
  const ipam = hostLocal(node, subnets, { routes: [{ dst: "0.0.0.0/0" }] })
  expectBudgets(ptp(node, { ipam }), { netns: node.pod() }, steps)
})
