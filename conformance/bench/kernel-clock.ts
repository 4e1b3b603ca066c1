/** Import this before any module of the product: it makes the global `host`, as lib/sys/node/register.ts does, with a clock in it. */

import { nodeHost } from "../../lib/sys/node/host.ts"

let spent = 0

function clocked<Arguments extends unknown[], Value>(call: (...args: Arguments) => Value): typeof call {
  return (...args) => {
    const began = performance.now()
    try {
      return call(...args)
    } finally {
      spent += performance.now() - began
    }
  }
}

const members = Object.entries(nodeHost).map(([name, member]) => [
  name,
  typeof member === "function" ? clocked(member) : member,
])
Object.assign(globalThis, { host: Object.fromEntries(members) })

/**
 * The milliseconds of `work` that passed in system calls, with the microsecond that each takes to be called from JavaScript. What
 * JavaScript itself takes does not count: it is a third of a pod's connection, and has nothing to do with the kernel.
 */
export function inKernel(work: () => void): number {
  spent = 0
  work()
  return spent
}
