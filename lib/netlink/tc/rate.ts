import type { Writer } from "../writer.ts"

/** A rate that does not fit struct tc_ratespec; the 64-bit attribute beside it counts. */
const TOO_FAST = 0xffffffff

/** Writes struct tc_ratespec of `rate` bytes per second. `cellLog` belongs to a rate table; it is 0 without one. */
export function writeRate(writer: Writer, rate: number, cellLog = 0): Writer {
  return writer
    .u32(cellLog) // then link layer, which the kernel takes to be Ethernet, and overhead
    .u32(0) // cell alignment, smallest packet
    .u32(Math.min(rate, TOO_FAST))
}

/** Returns the value of the 64-bit attribute if the rate needs it. */
export function rate64(rate: number): bigint | undefined {
  return rate < TOO_FAST ? undefined : BigInt(rate)
}

/** The offset of the rate in struct tc_ratespec. */
export const RATE_AT = 8
/** The length of struct tc_ratespec. */
export const RATE_SIZE = 12
