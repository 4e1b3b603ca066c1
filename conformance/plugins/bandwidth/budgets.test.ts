import { expect, test } from "vitest"
import { type Budget, expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import type { Trace } from "../../lab/strace.ts"
import { ptp } from "../ptp/network.ts"
import { type Config, LimitedPod } from "./limited.ts"

type Step = "ADD" | "ADD again" | "CHECK" | "DEL" | "DEL again"

const INGRESS = { ingressRate: 8_000_000, ingressBurst: 800_000 }
const EGRESS = { egressRate: 16_000_000, egressBurst: 1_600_000, egressMode: "ifb" }

const BUDGETS: readonly (readonly [string, Config, Readonly<Record<Step, Budget>>])[] = [
  [
    "ingress by tbf",
    INGRESS,
    {
      ADD: { requests: 4, systemCalls: 43 },
      "ADD again": { requests: 4, systemCalls: 43 },
      CHECK: { requests: 5, systemCalls: 43 },
      DEL: { requests: 2, systemCalls: 19 },
      "DEL again": { requests: 2, systemCalls: 19 },
    },
  ],
  [
    "egress by ifb",
    EGRESS,
    {
      ADD: { requests: 9, systemCalls: 57 },
      "ADD again": { requests: 14, systemCalls: 69 },
      CHECK: { requests: 8, systemCalls: 53 },
      DEL: { requests: 3, systemCalls: 23 },
      "DEL again": { requests: 2, systemCalls: 19 },
    },
  ],
  [
    "both",
    { ...INGRESS, ...EGRESS },
    {
      ADD: { requests: 10, systemCalls: 59 },
      "ADD again": { requests: 15, systemCalls: 71 },
      CHECK: { requests: 8, systemCalls: 53 },
      DEL: { requests: 3, systemCalls: 23 },
      "DEL again": { requests: 2, systemCalls: 19 },
    },
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, config, budgets) => {
  using node = new Node()
  const limited = new LimitedPod(node)
  let prevResult = limited.prevResult
  for (const [step, budget] of Object.entries(budgets)) {
    const [command = ""] = step.split(" ")
    const told = command === "ADD" ? limited.prevResult : prevResult
    const traced = node.trace("bandwidth", limited.asCall(command, { ...config, prevResult: told }))
    expectBudget(traced, budget)
    if (traced.outcome.result) prevResult = traced.outcome.result
  }
  expect(prevResult).not.toBe(limited.prevResult)
})

test("behind ptp or bridge of ours the pod is not entered", () => {
  using node = new Node()
  const pod = node.pod()
  const prevResult = ptp(node).connect(pod)
  const config = { cniVersion: "1.1.0", name: "net", type: "bandwidth", ...INGRESS, prevResult }
  const traced = (["ADD", "CHECK"] as const).map((command) => node.trace("bandwidth", { command, netns: pod, config }))
  expectBudget(traced[0] as Trace, { requests: 2, systemCalls: 18 })
  expectBudget(traced[1] as Trace, { requests: 3, systemCalls: 20 })
  expect(traced.flatMap(({ calls }) => calls).filter(({ name }) => name === "setns")).toEqual([])
})
