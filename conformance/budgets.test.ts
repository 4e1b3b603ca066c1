import { afterAll, describe, expect, test } from "vitest"
import { DUAL, hostLocal, Network, V4 } from "./bridge/network.ts"
import type { Result } from "./lab/call.ts"
import { Node } from "./lab/node.ts"
import type { SystemCall, Trace } from "./lab/strace.ts"

/** What one call costs. A change that costs less lowers the number here; one that costs more has to say why. */
interface Budget {
  /** Requests to the kernel over netlink, each of which waits for its answer: exactly that many. */
  readonly requests: number
  /** System calls on the main thread once the runtime has started, without memory and locks: at most SLACK more. */
  readonly systemCalls: number
}

/** The runtime looks at its memory use now and then: open, read, close. */
const SLACK = 6

/** `bridge` with `host-local`, as the demo's cluster uses them. */
const BUDGETS: Readonly<Record<string, Readonly<Record<Step, Budget>>>> = {
  IPv4: {
    "first ADD": { requests: 18, systemCalls: 140 },
    ADD: { requests: 12, systemCalls: 108 },
    CHECK: { requests: 6, systemCalls: 55 },
    DEL: { requests: 7, systemCalls: 55 },
    "DEL again": { requests: 7, systemCalls: 56 },
  },
  "dual stack": {
    "first ADD": { requests: 22, systemCalls: 179 },
    ADD: { requests: 15, systemCalls: 141 },
    CHECK: { requests: 7, systemCalls: 62 },
    DEL: { requests: 7, systemCalls: 59 },
    "DEL again": { requests: 7, systemCalls: 56 },
  },
  "dual stack, ipMasq": {
    "first ADD": { requests: 25, systemCalls: 197 },
    ADD: { requests: 18, systemCalls: 156 },
    CHECK: { requests: 9, systemCalls: 74 },
    DEL: { requests: 8, systemCalls: 62 },
    "DEL again": { requests: 7, systemCalls: 57 },
  },
  "IPv4, ipMasq, macspoofchk": {
    "first ADD": { requests: 24, systemCalls: 165 },
    ADD: { requests: 18, systemCalls: 131 },
    CHECK: { requests: 11, systemCalls: 77 },
    DEL: { requests: 11, systemCalls: 68 },
    "DEL again": { requests: 7, systemCalls: 57 },
  },
}

type Step = "first ADD" | "ADD" | "CHECK" | "DEL" | "DEL again"

describe.each([
  ["IPv4", [V4], {}],
  ["dual stack", DUAL, {}],
  ["dual stack, ipMasq", DUAL, { ipMasq: true }],
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
    const traced = trace(step)
    expect(traced.outcome).toMatchObject({ exitCode: 0, stderr: "" })
    expect(traced.processes, "processes started").toBe(0)
    expect(traced.programs, "programs executed").toHaveLength(1)
    const calls = own(traced.calls)
    const budget = BUDGETS[name]?.[step]
    expect(calls.filter((call) => call.name === "sendto").length, "netlink requests").toBe(budget?.requests)
    expect(calls.length, `system calls: ${histogram(calls)}`).toBeLessThanOrEqual((budget?.systemCalls ?? 0) + SLACK)
  })
})

/** `sendto 12, recvfrom 18, ...`: what to look at when there are too many. */
function histogram(calls: readonly SystemCall[]): string {
  const counts = new Map<string, number>()
  for (const { name } of calls) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, count]) => `${name} ${count}`).join(", ")
}

const MEMORY_AND_LOCKS = /^(futex|madvise|mmap|munmap|mprotect|brk|sched_\w+|rt_sig\w+)$/

/** Those of the main thread from the first that has to do with networks. */
function own(calls: readonly SystemCall[]): SystemCall[] {
  const main = calls.filter(({ pid }) => pid === calls[0]?.pid)
  const start = main.findIndex(({ name, args }) => name === "socket" || /netns/.test(args))
  return main.slice(start).filter(({ name }) => !MEMORY_AND_LOCKS.test(name))
}
