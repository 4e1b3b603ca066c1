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

/** Returns the packet scheduler's ticks per microsecond, from the four hexadecimal numbers of /proc/net/psched. */
export function ticksPerMicrosecond(psched: string): number {
  const [ticks = Number.NaN, microseconds = Number.NaN, resolution = Number.NaN] = psched
    .split(" ")
    .map((field) => Number.parseInt(field, 16))
  const perTick = resolution === 1e9 ? 1 : ticks / microseconds
  const perMicrosecond = (perTick * resolution) / MICROSECONDS
  if (!(perMicrosecond > 0)) throw new Error(`/proc/net/psched says nothing of the clock: ${JSON.stringify(psched)}`)
  return perMicrosecond
}

/**
 * Returns the limit in the kernel's units. Values that exceed 32 bits become the greatest that fit: a burst of 4.6 minutes, a queue of 4
 * GiB.
 */
export function tokenBucketOf(limit: Limit, ticks: number): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return {
    rate,
    buffer: Math.min(Math.trunc(microseconds * ticks), MAX),
    limit: Math.min(waiting + burst, MAX),
  }
}

/** Returns the limit as the Go plugin calculates it on amd64: values that exceed 32 bits wrap around. */
export function wrappedTokenBucketOf(limit: Limit, ticks: number): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return { rate, buffer: wrap(Math.trunc(wrap(microseconds) * ticks)), limit: wrap(wrap(waiting) + burst) }
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
