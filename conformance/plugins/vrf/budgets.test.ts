import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { podWith, resultOf, vrf } from "./network.ts"

test("vrf keeps to its budgets", () => {
  using node = new Node()
  const pod = podWith(node, ["addr add 10.1.0.2/24 dev eth0", "route add default via 10.1.0.1"])
  const { config } = vrf(node, { prevResult: resultOf(pod) })
  const ask = (command: string) => node.trace("vrf", { command, netns: pod, config })
  expectBudget(ask("ADD"), { requests: 14, systemCalls: 90 })
  expectBudget(ask("CHECK"), { requests: 2, systemCalls: 30 })
  expectBudget(ask("DEL"), { requests: 10, systemCalls: 80 })
})
