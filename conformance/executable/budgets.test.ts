import { afterAll, describe, test } from "vitest"
import { type Budget, expectBudget } from "../lab/budget.ts"
import type { Result } from "../lab/call.ts"
import { Node } from "../lab/node.ts"
import type { Trace } from "../lab/strace.ts"
import { DUAL, hostLocal, Network, V4 } from "../plugins/bridge/network.ts"

/** `bridge` with `host-local`, as the demo's cluster uses them. The first ADD with IPv6 looks for uplinks that take router advertisements. */
const BUDGETS: Readonly<Record<string, Readonly<Record<Step, Budget>>>> = {
  IPv4: {
    "first ADD": { requests: 11, systemCalls: 147 },
    ADD: { requests: 7, systemCalls: 111 },
    CHECK: { requests: 6, systemCalls: 50 },
    DEL: { requests: 9, systemCalls: 53 },
    "DEL again": { requests: 9, systemCalls: 55 },
  },
  "dual stack": {
    "first ADD": { requests: 14, systemCalls: 187 },
    ADD: { requests: 7, systemCalls: 135 },
    CHECK: { requests: 7, systemCalls: 56 },
    DEL: { requests: 9, systemCalls: 57 },
    "DEL again": { requests: 9, systemCalls: 55 },
  },
  "dual stack, ipMasq": {
    "first ADD": { requests: 18, systemCalls: 201 },
    ADD: { requests: 11, systemCalls: 150 },
    CHECK: { requests: 11, systemCalls: 71 },
    DEL: { requests: 11, systemCalls: 61 },
    "DEL again": { requests: 9, systemCalls: 56 },
  },
  /** Without ipMasqBackend one request more asks if the Go plugin has rules of iptables for the network. */
  "dual stack, ipMasq by nftables": {
    "first ADD": { requests: 17, systemCalls: 199 },
    ADD: { requests: 10, systemCalls: 148 },
    CHECK: { requests: 11, systemCalls: 71 },
    DEL: { requests: 11, systemCalls: 61 },
    "DEL again": { requests: 9, systemCalls: 56 },
  },
  "dual stack, ipMasq by iptables": {
    "first ADD": { requests: 20, systemCalls: 211 },
    ADD: { requests: 13, systemCalls: 159 },
    CHECK: { requests: 13, systemCalls: 78 },
    DEL: { requests: 12, systemCalls: 65 },
    "DEL again": { requests: 9, systemCalls: 55 },
  },
  "IPv4, ipMasq, macspoofchk": {
    "first ADD": { requests: 18, systemCalls: 167 },
    ADD: { requests: 14, systemCalls: 132 },
    CHECK: { requests: 12, systemCalls: 72 },
    DEL: { requests: 12, systemCalls: 60 },
    "DEL again": { requests: 9, systemCalls: 56 },
  },
}

type Step = "first ADD" | "ADD" | "CHECK" | "DEL" | "DEL again"

describe.each([
  ["IPv4", [V4], {}],
  ["dual stack", DUAL, {}],
  ["dual stack, ipMasq", DUAL, { ipMasq: true }],
  ["dual stack, ipMasq by nftables", DUAL, { ipMasq: true, ipMasqBackend: "nftables" }],
  ["dual stack, ipMasq by iptables", DUAL, { ipMasq: true, ipMasqBackend: "iptables" }],
  ["IPv4, ipMasq, macspoofchk", [V4], { ipMasq: true, macspoofchk: true }],
])("%s", (name, subnets, config) => {
  const node = new Node()
  afterAll(() => node[Symbol.dispose]())
  const network = new Network(node, {
    isDefaultGateway: true,
    mtu: 1450,
    ipam: hostLocal(node, subnets),
    ...config,
  })
  const [first, second] = [node.pod(), node.pod()]
  let prevResult: Result | undefined

  function trace(step: Step): Trace {
    const netns = step === "first ADD" ? first : second
    const config = { ...network.config, ...(prevResult && { prevResult }) }
    const traced = node.trace("bridge", { command: step.replace(/^first | again$/g, ""), netns, config })
    if (step === "ADD") prevResult = traced.outcome.result
    return traced
  }

  test.each(["first ADD", "ADD", "CHECK", "DEL", "DEL again"] as const)("%s keeps to its budget", (step) => {
    expectBudget(trace(step), BUDGETS[name]?.[step] ?? { requests: 0, systemCalls: 0 })
  })
})
