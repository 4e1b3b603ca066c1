import { describe, expect, test } from "vitest"
import { policed, requireTicks, tokenBucketOf, wrappedTokenBucketOf } from "./token-bucket.ts"

const M = 1e6

test("the scheduler's clock has to be what /proc/net/psched says it is", () => {
  requireTicks("000003e8 00000040 000f4240 3b9aca00\n")
  for (const other of ["000003e8 00000400 000f4240 3b9aca00\n", ""]) {
    expect(() => requireTicks(other)).toThrow("/proc/net/psched")
  }
})

/** rate and burst in bits; bytes per second, ticks, bytes as the Go plugin v1.9.1 has them on amd64. */
const vectors: [rate: number, burst: number, bytes: number, buffer: number, limit: number][] = [
  [8, 8, 1, 15625000, 1],
  [16, 9, 2, 7812500, 1],
  [8000, 80, 1000, 156250, 35],
  [8000, 16000, 1000, 31250000, 2025],
  [10 * M, 2 ** 31 - 1, 1250000, 3355443187, 268466705],
  [10 * M, 2 ** 32 - 1, 1250000, 2415919079, 536902161],
  [100 * M, 2 ** 32 - 1, 12500000, 671088625, 537183411],
  [10 * M, 8 * (2 ** 32 - 1) - 1, 1250000, 2147483619, 31248],
  [100 * M, 8 * (2 ** 32 - 1) - 1, 12500000, 1073741813, 312498],
]

describe("the Go plugin's arithmetic", () => {
  test.each(vectors)("of %d bit/s with a burst of %d bits", (rate, burst, bytes, buffer, limit) => {
    expect(wrappedTokenBucketOf({ rate, burst, latency: 25 })).toEqual({ rate: bytes, buffer, limit })
  })
})

describe("ours", () => {
  const wrapped = new Set([5, 7, 8])
  test.each(vectors.filter((_, index) => !wrapped.has(index)))("is the same for %d bit/s, %d bits", (...vector) => {
    const [rate, burst, bytes, buffer, limit] = vector
    expect(tokenBucketOf({ rate, burst, latency: 25 })).toEqual({ rate: bytes, buffer, limit })
  })

  test("has the greatest value if the Go plugin's wraps around", () => {
    expect(tokenBucketOf({ rate: 10 * M, burst: 2 ** 32 - 1, latency: 25 })).toEqual({
      rate: 1250000,
      buffer: 2 ** 32 - 1,
      limit: 536902161,
    })
    const crio = tokenBucketOf({ rate: 10 * M, burst: 8 * (2 ** 32 - 1) - 1, latency: 25 })
    expect(crio).toEqual({ rate: 1250000, buffer: 2 ** 32 - 1, limit: 2 ** 32 - 1 })
    expect(tokenBucketOf({ rate: 2 ** 52, burst: 8000, latency: 25 }).limit).toBe(2 ** 32 - 1)
  })

  test("lets packets wait as long as it is told", () => {
    expect(tokenBucketOf({ rate: 8 * M, burst: 80_000, latency: 10 }).limit).toBe(10_000 + 10_000)
  })
})

describe("police", () => {
  test("has a bucket that holds the largest packet a pod hands over", () => {
    const slow = tokenBucketOf(policed({ rate: 8 * M, burst: 80_000, latency: 25 }))
    expect(slow.buffer).toBe((68 * 1024 * 15.625e6) / M)
    const odd = { rate: 8 * M, burst: 8 * 68 * 1024 + 1, latency: 25 }
    expect(policed(odd)).toEqual(odd)
  })
})
