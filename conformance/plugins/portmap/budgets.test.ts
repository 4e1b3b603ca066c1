import { test } from "vitest"
import { type Budget, expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { type Config, Portmap, resultOf, tcp } from "./network.ts"

type Step = "ADD" | "ADD again" | "CHECK" | "DEL" | "DEL again"

const BUDGETS: readonly (readonly [string, readonly string[], Config, Readonly<Record<Step, Budget>>])[] = [
  [
    "IPv4 by nftables",
    ["10.1.0.2/24"],
    { backend: "nftables" },
    {
      ADD: { requests: 8, systemCalls: 42 },
      "ADD again": { requests: 19, systemCalls: 75 },
      CHECK: { requests: 4, systemCalls: 29 },
      DEL: { requests: 12, systemCalls: 50 },
      "DEL again": { requests: 10, systemCalls: 43 },
    },
  ],
  [
    "dual stack, without a backend",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: undefined },
    {
      ADD: { requests: 14, systemCalls: 60 },
      "ADD again": { requests: 32, systemCalls: 115 },
      CHECK: { requests: 8, systemCalls: 41 },
      DEL: { requests: 13, systemCalls: 54 },
      "DEL again": { requests: 10, systemCalls: 43 },
    },
  ],
  [
    "IPv4 by iptables",
    ["10.1.0.2/24"],
    { backend: "iptables" },
    {
      ADD: { requests: 13, systemCalls: 60 },
      "ADD again": { requests: 13, systemCalls: 60 },
      CHECK: { requests: 8, systemCalls: 40 },
      DEL: { requests: 12, systemCalls: 47 },
      "DEL again": { requests: 8, systemCalls: 35 },
    },
  ],
  [
    "dual stack by iptables",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "iptables" },
    {
      ADD: { requests: 21, systemCalls: 84 },
      "ADD again": { requests: 21, systemCalls: 84 },
      CHECK: { requests: 16, systemCalls: 63 },
      DEL: { requests: 15, systemCalls: 55 },
      "DEL again": { requests: 8, systemCalls: 35 },
    },
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, addresses, config, budgets) => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node, config)
  portmap.map(node.pod(), [tcp(9090)], ["10.1.0.9/24", "fd00::9/64"]) // the node's first makes the chains
  for (const [step, budget] of Object.entries(budgets)) {
    const [command = ""] = step.split(" ")
    const call = portmap.call(command, pod, { ports: [tcp(80)], config: { prevResult: resultOf(pod, addresses) } })
    expectBudget(node.trace("portmap", call), budget)
  }
})
