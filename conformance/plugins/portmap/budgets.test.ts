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
      "ADD again": { requests: 23, systemCalls: 88 },
      CHECK: { requests: 8, systemCalls: 41 },
      DEL: { requests: 15, systemCalls: 57 },
      "DEL again": { requests: 12, systemCalls: 47 },
    },
  ],
  [
    "dual stack, without a backend",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: undefined },
    {
      ADD: { requests: 14, systemCalls: 60 },
      "ADD again": { requests: 40, systemCalls: 141 },
      CHECK: { requests: 15, systemCalls: 62 },
      DEL: { requests: 16, systemCalls: 62 },
      "DEL again": { requests: 12, systemCalls: 47 },
    },
  ],
  [
    "IPv4 by iptables",
    ["10.1.0.2/24"],
    { backend: "iptables" },
    {
      ADD: { requests: 13, systemCalls: 60 },
      "ADD again": { requests: 13, systemCalls: 60 },
      CHECK: { requests: 9, systemCalls: 42 },
      DEL: { requests: 14, systemCalls: 50 },
      "DEL again": { requests: 10, systemCalls: 39 },
    },
  ],
  [
    "dual stack by iptables",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "iptables" },
    {
      ADD: { requests: 21, systemCalls: 84 },
      "ADD again": { requests: 21, systemCalls: 84 },
      CHECK: { requests: 18, systemCalls: 67 },
      DEL: { requests: 17, systemCalls: 59 },
      "DEL again": { requests: 10, systemCalls: 39 },
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
