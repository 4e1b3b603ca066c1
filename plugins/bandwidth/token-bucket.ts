import type { TokenBucket } from "../../lib/netlink/tc/qdisc.ts"

/** What a pod may send or receive. */
export interface Limit {
  /** Bits per second, at least 8. */
  readonly rate: number
  /** Bits that may pass at once after a pause, at least 8. */
  readonly burst: number
  /** How long a packet may wait in the queue that the rate alone would leave, in milliseconds. */
  readonly latency: number
}

const MAX = 0xffffffff
const MICROSECONDS = 1e6
/** Bytes of a packet before it is segmented, headers of every layer included. */
const LARGEST_PACKET = 68 * 1024

/** How many ticks the packet scheduler counts per microsecond, from the four hexadecimal numbers of /proc/net/psched. */
export function ticksPerMicrosecond(psched: string): number {
  const [ticks = Number.NaN, microseconds = Number.NaN, resolution = Number.NaN] = psched
    .split(" ")
    .map((field) => Number.parseInt(field, 16))
  const perTick = resolution === 1e9 ? 1 : ticks / microseconds
  const perMicrosecond = (perTick * resolution) / MICROSECONDS
  if (!(perMicrosecond > 0)) throw new Error(`/proc/net/psched says nothing of the clock: ${JSON.stringify(psched)}`)
  return perMicrosecond
}

/** The limit as the kernel takes it. What does not fit 32 bits becomes the most that does: a burst of 4.6 minutes, a queue of 4 GiB. */
export function tokenBucketOf(limit: Limit, ticks: number): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return {
    rate,
    buffer: Math.min(Math.trunc(microseconds * ticks), MAX),
    limit: Math.min(waiting + burst, MAX),
  }
}

/** As the Go plugin calculates on amd64, where what does not fit 32 bits wraps around. */
export function wrappedTokenBucketOf(limit: Limit, ticks: number): TokenBucket {
  const { rate, microseconds, waiting, burst } = measure(limit)
  return { rate, buffer: wrap(Math.trunc(wrap(microseconds) * ticks)), limit: wrap(wrap(waiting) + burst) }
}

/**
 * The limit as police can keep it. A packet larger than the bucket never passes, and police, unlike a token bucket, cannot cut it into
 * segments: a bucket that is smaller than what a pod's TCP hands over at once would let none of its connections live.
 */
export function policed(limit: Limit): Limit {
  return { ...limit, burst: Math.max(limit.burst, 8 * LARGEST_PACKET) }
}

/** All divisions truncate, as in the Go plugin; doubles are exact for every value that a config can hold. */
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
