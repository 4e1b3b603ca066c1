import { test } from "vitest"
import { type Budget, expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { resultOf } from "../portmap/network.ts"
import { type Config, Firewall } from "./network.ts"

type Step = "ADD" | "ADD again" | "CHECK" | "DEL" | "DEL again"

const DEL: Pick<Readonly<Record<Step, Budget>>, "DEL" | "DEL again"> = {
  DEL: { requests: 4, systemCalls: 29 },
  "DEL again": { requests: 3, systemCalls: 27 },
}

const BUDGETS: readonly (readonly [string, readonly string[], Config, Readonly<Record<Step, Budget>>])[] = [
  [
    "IPv4",
    ["10.1.0.2/24"],
    {},
    {
      ADD: { requests: 4, systemCalls: 36 },
      "ADD again": { requests: 3, systemCalls: 34 },
      CHECK: { requests: 2, systemCalls: 23 },
      ...DEL,
    },
  ],
  [
    "dual stack",
    ["10.1.0.2/24", "fd00::2/64"],
    {},
    {
      ADD: { requests: 6, systemCalls: 42 },
      "ADD again": { requests: 5, systemCalls: 40 },
      CHECK: { requests: 4, systemCalls: 29 },
      ...DEL,
    },
  ],
  [
    "dual stack, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { ingressPolicy: "same-bridge" },
    {
      ADD: { requests: 10, systemCalls: 54 },
      "ADD again": { requests: 9, systemCalls: 52 },
      CHECK: { requests: 8, systemCalls: 41 },
      ...DEL,
    },
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, addresses, config, budgets) => {
  using node = new Node()
  const pod = node.pod()
  const firewall = new Firewall(node, config)
  firewall.allow(node.pod(), ["10.1.0.9/24", "fd00::9/64"]) // the node's first makes the chains
  for (const [step, budget] of Object.entries(budgets)) {
    const [command = ""] = step.split(" ")
    const call = firewall.call(command, pod, { config: { prevResult: resultOf(pod, addresses) } })
    expectBudget(node.trace("firewall", call), budget)
  }
})
