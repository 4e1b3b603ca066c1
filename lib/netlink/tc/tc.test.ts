import { describe, expect, test } from "vitest"
import { requestOf } from "../../testing/fake-kernel.ts"
import { decodeMessages, type Message } from "../message.ts"
import type { Action } from "./action.ts"
import { createFilter, decodeFilter } from "./filter.ts"
import { createIngressQdisc, decodeQdisc, ensureTokenBucket } from "./qdisc.ts"

/** A request has the attributes and the header that the kernel's listing has. */
function asked(ask: Parameters<typeof requestOf>[0]): Message {
  const [message] = decodeMessages(requestOf(ask))
  if (!message) throw new Error("nothing was asked")
  return message
}

describe("read back as it was written", () => {
  test.each([
    { rate: 1, limit: 1, buffer: 15625000 },
    { rate: 2 ** 32 - 1, limit: 2 ** 32 - 1, buffer: 2 ** 32 - 1 },
    { rate: 2 ** 32, limit: 0, buffer: 0 },
    { rate: 2 ** 50 + 1, limit: 7, buffer: 9 },
  ])("a token bucket of %j", (tokenBucket) => {
    const message = asked((kernel) => ensureTokenBucket(kernel, 7, tokenBucket))
    expect(decodeQdisc(message)).toEqual({ kind: "tbf", handle: 0x10000, tokenBucket })
  })

  test("an ingress qdisc", () => {
    const message = asked((kernel) => createIngressQdisc(kernel, 7))
    expect(decodeQdisc(message)).toEqual({ kind: "ingress", handle: 0xffff0000, tokenBucket: undefined })
  })

  const actions: readonly Action[] = [
    { kind: "police", rate: 1_000_000, burst: 3_906_250 },
    { kind: "police", rate: 5_000_000_000, burst: 2 ** 32 - 1 },
    { kind: "redirect", to: 9 },
  ]
  test.each(actions)("a filter of everything that is a $kind", (action) => {
    const message = asked((kernel) => createFilter(kernel, 7, action))
    expect(decodeFilter(message)).toEqual({ kind: "u32", priority: 1, matchesAll: true, action })
  })
})
