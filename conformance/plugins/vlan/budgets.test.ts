import { test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { ofLan, plugIn } from "../macvlan/network.ts"
import { vlan } from "./network.ts"

test("vlan with host-local keeps to its budgets", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const { config } = vlan(node, { ipam: ofLan(node) })
  const ask = (command: string, more: object = {}) =>
    node.trace("vlan", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 7, systemCalls: 117 })
  expectBudget(ask("CHECK", { prevResult: added.outcome.result }), { requests: 4, systemCalls: 50 })
  expectBudget(ask("DEL"), { requests: 3, systemCalls: 45 })
  expectBudget(ask("DEL"), { requests: 2, systemCalls: 33 })
})
