import { expect, test } from "vitest"
import { expectBudget, expectSteps, type Step } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import type { Trace } from "../../lab/strace.ts"
import { ptp } from "../ptp/network.ts"
import { type Config, LimitedPod } from "./limited.ts"

const INGRESS = { ingressRate: 8_000_000, ingressBurst: 800_000 }
const EGRESS = { egressRate: 16_000_000, egressBurst: 1_600_000, egressMode: "ifb" }

const BUDGETS: readonly (readonly [string, Config, readonly Step[]])[] = [
  [
    "ingress by tbf",
    INGRESS,
    [
      ["ADD", 4, 33],
      ["ADD", 4, 33],
      ["CHECK", 5, 34],
      ["DEL", 2, 16],
      ["DEL", 2, 16],
    ],
  ],
  [
    "egress by ifb",
    EGRESS,
    [
      ["ADD", 10, 46],
      ["ADD", 15, 57],
      ["CHECK", 7, 40],
      ["DEL", 3, 18],
      ["DEL", 2, 16],
    ],
  ],
  [
    "both",
    { ...INGRESS, ...EGRESS },
    [
      ["ADD", 11, 48],
      ["ADD", 16, 59],
      ["CHECK", 7, 40],
      ["DEL", 3, 18],
      ["DEL", 2, 16],
    ],
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, config, steps) => {
  using node = new Node()
  const limited = new LimitedPod(node)
  expectSteps(steps, (command, added) => {
    const told = command === "ADD" || !added ? {} : { prevResult: added }
    return node.trace("bandwidth", limited.asCall(command, { ...config, ...told }))
  })
})

test("behind ptp or bridge of ours the pod is not entered", () => {
  using node = new Node()
  const pod = node.pod()
  const prevResult = ptp(node).connect(pod)
  const config = { cniVersion: "1.1.0", name: "net", type: "bandwidth", ...INGRESS, prevResult }
  const traced = (["ADD", "CHECK"] as const).map((command) => node.trace("bandwidth", { command, netns: pod, config }))
  expectBudget(traced[0] as Trace, { requests: 2, systemCalls: 13 })
  expectBudget(traced[1] as Trace, { requests: 3, systemCalls: 14 })
  expect(traced.flatMap(({ calls }) => calls).filter(({ name }) => name === "setns")).toEqual([])
})
