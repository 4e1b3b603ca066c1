import { expect } from "vitest"
import type { Call, Result } from "./call.ts"
import type { Node } from "./node.ts"
import type { SystemCall, Trace } from "./strace.ts"

/** The cost of one call. A change that costs less lowers the number in the test; one that costs more has to say why. */
export interface Budget {
  /** Datagrams with requests to the kernel over netlink, each of which waits for its answer: exactly that many. */
  readonly requests: number
  /** System calls on the main thread once the runtime has started, without memory and locks: at most SLACK more. */
  readonly systemCalls: number
}

/** The runtime looks at its memory use now and then: open, read, close. */
const SLACK = 6

/** A verb, and what it costs: netlink requests and system calls. */
export type Step = readonly [command: string, requests: number, systemCalls: number]

/** Traces one call after the other, which each have to keep to their budget. They are given the result of the last ADD. */
export function expectSteps(
  steps: readonly Step[],
  trace: (command: string, added: Result | undefined) => Trace,
): void {
  let added: Result | undefined
  for (const [command, requests, systemCalls] of steps) {
    const traced = trace(command, added)
    expectBudget(traced, { requests, systemCalls })
    added = traced.outcome.result ?? added
  }
}

interface Network {
  readonly node: Node
  readonly plugin: string
  readonly config: object
}

/** As expectSteps, of calls for one pod. As by most runtimes, DEL is not told the result. */
export function expectBudgets({ node, plugin, config }: Network, call: Partial<Call>, steps: readonly Step[]): void {
  expectSteps(steps, (command, prevResult) =>
    node.trace(plugin, { command, config: command === "CHECK" ? { ...config, prevResult } : config, ...call }),
  )
}

/** The call succeeded, started no process and kept to its budget. */
export function expectBudget(traced: Trace, budget: Budget): void {
  expect(traced.outcome).toMatchObject({ exitCode: 0, stderr: "" })
  expect(traced.processes, "processes started").toBe(0)
  expect(traced.programs, "programs executed").toHaveLength(1)
  const calls = own(traced.calls)
  expect(calls.filter((call) => call.name === "sendto").length, "netlink requests").toBe(budget.requests)
  expect(calls.length, `system calls: ${histogram(calls)}`).toBeLessThanOrEqual(budget.systemCalls + SLACK)
}

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
