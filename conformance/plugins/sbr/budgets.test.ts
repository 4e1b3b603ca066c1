import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { podOfTwo, Sbr } from "./network.ts"

test("sbr keeps to its budgets", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const { config } = new Sbr(node, pod)
  const ask = (command: string, more: object = {}) =>
    node.trace("sbr", { command, netns: pod, ifname: "net1", config: { ...config, ...more } })
  expectBudget(ask("ADD"), { requests: 12, systemCalls: 52 })
  expectBudget(ask("CHECK"), { requests: 3, systemCalls: 31 })
  expectBudget(ask("DEL"), { requests: 5, systemCalls: 36 })
  expectBudget(ask("DEL"), { requests: 3, systemCalls: 32 })
})
