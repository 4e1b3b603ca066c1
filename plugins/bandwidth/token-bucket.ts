import type { TokenBucket } from "../../lib/netlink/tc/qdisc.ts"

/** A limit on what a pod sends or receives. */
export interface Limit {
  /** Bits per second, at least 8. */
  readonly rate: number
  /** Bits that may pass at once after a pause, at least 8. */
  readonly burst: number
  /** The milliseconds that a packet may wait in the queue at this rate. */
  readonly latency: number
}

const MAX = 0xffffffff
const MICROSECONDS = 1e6
/** Bytes of a packet before it is segmented, headers of every layer included. */
const LARGEST_PACKET = 68 * 1024

/** The ticks of the packet scheduler in a microsecond, of 64 ns each since Linux 2.6.31: requests say times in them. */
export const TICKS = 1000 / 64

/** Throws unless /proc/net/psched says that the packet scheduler has ticks of this length: nanoseconds in a microsecond, and in a tick. */
export function requireTicks(psched: string): void {
  const [microsecond = Number.NaN, tick = Number.NaN] = psched.split(" ").map((field) => Number.parseInt(field, 16))
  if (microsecond / tick !== TICKS) throw new Error(`/proc/net/psched has ticks of others: ${JSON.stringify(psched)}`)
}

/**
 * Returns the limit in the kernel's units. Values that exceed 32 bits become the greatest that fit: a burst of 4.6 minutes, a queue of 4
 * GiB.
 */
export function tokenBucketOf(limit: Limit): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return {
    rate,
    buffer: Math.min(Math.trunc(microseconds * TICKS), MAX),
    limit: Math.min(waiting + burst, MAX),
  }
}

/** Returns the limit as the Go plugin calculates it on amd64: values that exceed 32 bits wrap around. */
export function wrappedTokenBucketOf(limit: Limit): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return { rate, buffer: wrap(Math.trunc(wrap(microseconds) * TICKS)), limit: wrap(wrap(waiting) + burst) }
}

/**
 * Returns the limit with a burst that police needs. A packet larger than the bucket never passes, and police, unlike a token bucket, cannot
 * segment it: with a bucket smaller than the largest packets of a pod's TCP, its connections would hang.
 */
export function policed(limit: Limit): Limit {
  return { ...limit, burst: Math.max(limit.burst, 8 * LARGEST_PACKET) }
}

/** Converts a limit to bytes and microseconds. Divisions truncate, as in the Go plugin; doubles are exact for all values of a config. */
function measure({ rate: bits, burst: burstBits, latency }: Limit) {
  const rate = Math.floor(bits / 8)
  const burst = Math.floor(burstBits / 8)
  return {
    rate,
    burst,
    microseconds: Math.trunc((burst * MICROSECONDS) / rate),
    waiting: Math.trunc((rate * latency * 1000) / MICROSECONDS),
  }
}

function wrap(value: number): number {
  return value % (MAX + 1)
}
