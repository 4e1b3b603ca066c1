import { dlopen, type Pointer } from "bun:ffi"

const SIGALRM = 14
const ITIMER_REAL = 0

/**
 * Runs `wait`, which makes a system call that may block for ever; after `seconds`, and every second from then on, that call fails
 * with EINTR. The kernel sends the signal of a timer to a process's main thread, which this is. Not for nested use.
 */
export function interruptedAfter<Value>(seconds: number, wait: () => Value): Value {
  // Loaded only where somebody has to wait: every function costs each start ten microseconds.
  const { symbols } = dlopen("libc.so.6", {
    abs: { args: ["i32"], returns: "i32" },
    setitimer: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  })
  const action = new BigUint64Array(19) // struct sigaction of 64-bit machines: handler, mask, flags (no SA_RESTART), restorer
  action[0] = BigInt(addressOf(symbols.abs)) // any function that takes a number and does nothing
  symbols.sigaction(SIGALRM, action, null)
  const setTimer = (first: number, then: number) =>
    symbols.setitimer(ITIMER_REAL, new BigInt64Array([BigInt(then), 0n, BigInt(first), 0n]), null)
  setTimer(seconds, 1)
  try {
    return wait()
  } finally {
    setTimer(0, 0)
  }
}

/** Where the machine code of a function opened by dlopen stands. */
function addressOf(symbol: object): Pointer {
  if ("ptr" in symbol && typeof symbol.ptr === "number") return symbol.ptr as Pointer
  throw new Error("bun:ffi gives no address of a function")
}
