import { describe, test } from "vitest"
import { type Budget, expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { DUAL, hostLocal, V4 } from "../bridge/network.ts"
import { ptp } from "./network.ts"

const BUDGETS: Readonly<Record<string, Readonly<Record<"ADD" | "CHECK" | "DEL" | "DEL again", Budget>>>> = {
  IPv4: {
    ADD: { requests: 11, systemCalls: 126 },
    CHECK: { requests: 6, systemCalls: 56 },
    DEL: { requests: 7, systemCalls: 57 },
    "DEL again": { requests: 7, systemCalls: 58 },
  },
  "dual stack": {
    ADD: { requests: 16, systemCalls: 169 },
    CHECK: { requests: 8, systemCalls: 65 },
    DEL: { requests: 7, systemCalls: 61 },
    "DEL again": { requests: 7, systemCalls: 58 },
  },
}

describe.each([
  ["IPv4", [V4]],
  ["dual stack", DUAL],
])("%s", (name, subnets) => {
  test("ptp with host-local and a default route keeps to its budgets", () => {
    using node = new Node()
    const budget = BUDGETS[name]
    const { config } = ptp(node, { ipam: hostLocal(node, subnets, { routes: [{ dst: "0.0.0.0/0" }] }) })
    ptp(node, { name: "first", ipam: hostLocal(node, ["10.1.0.0/24", "fd01::/64"]) }).connect(node.pod())
    const pod = node.pod()
    const ask = (command: string, more: object = {}) =>
      node.trace("ptp", { command, netns: pod, config: { ...config, ...more } })
    const added = ask("ADD")
    if (!budget) throw new Error(`no budget for ${name}`)
    expectBudget(added, budget.ADD)
    expectBudget(ask("CHECK", { prevResult: added.outcome.result }), budget.CHECK)
    expectBudget(ask("DEL"), budget.DEL)
    expectBudget(ask("DEL"), budget["DEL again"])
  })
})
