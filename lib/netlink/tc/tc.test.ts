import { describe, expect, test } from "vitest"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { FakeKernel, replay, requestOf } from "../../testing/fake-kernel.ts"
import { recorded } from "../../testing/recorded.ts"
import { decodeMessages, type Message } from "../message.ts"
import { RTM } from "../route/rtm.ts"
import type { Action } from "./action.ts"
import { createFilter, decodeFilter, listFilters, removeFilter } from "./filter.ts"
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

const everything = "protocol all prio 1 u32 match u32 0 0 flowid 1:1"
const filtersCommand = (option = "") => `tc${option} -j filter show dev veth0 parent ffff:`

/** TCA_OPTIONS, where tbf and u32 have attributes of their own, and u32's action those of the one that is done. */
const qdiscShape: Shape = { header: 20, nested: { 1: "text", 2: { nested: {} } } }
const filterShape: Shape = {
  header: 20,
  nested: { 1: "text", 2: { nested: { 7: { nested: { 1: { nested: { 1: "text", 2: { nested: {} } } } } } } } },
}

describe("requests say what tc says", () => {
  test("to make an ingress qdisc", () => {
    const ours = requestOf((kernel) => createIngressQdisc(kernel, 3))
    expect(requestTree(ours, qdiscShape)).toEqual(
      requestTree(recorded("tc qdisc add dev veth0 ingress").request, qdiscShape),
    )
  })

  test.each([
    [
      "tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000",
      { rate: 1e6, limit: 125_000, buffer: 1_562_500 },
    ],
    [
      // tc counts this bucket at a rate of 32 bits, and sends its bytes beside it.
      "tc qdisc add dev bwp0 root handle 1: tbf rate 40gbit burst 10mb limit 10mb",
      { rate: 5e9, limit: 10_485_760, buffer: 38_140 },
    ],
  ])("to send through a token bucket: %s", (command, bucket) => {
    const [theirs] = decodeMessages(recorded(command).request)
    const ours = asked((kernel) => ensureTokenBucket(kernel, 3, bucket))
    expect(theirs && decodeQdisc(theirs)).toEqual(decodeQdisc(ours))
  })

  test.each<[string, Action]>([
    ["police rate 16mbit burst 200000 drop", { kind: "police", rate: 2e6, burst: 1_562_500 }],
    ["police rate 40gbit burst 10mb drop", { kind: "police", rate: 5e9, burst: 32_765 }],
    ["mirred egress redirect dev bwp0", { kind: "redirect", to: 4 }],
  ])("to put all through an action: %s", (text, action) => {
    const [theirs] = decodeMessages(
      recorded(`tc filter add dev veth0 parent ffff: ${everything} action ${text}`).request,
    )
    expect(theirs && decodeFilter(theirs)).toEqual(decodeFilter(asked((kernel) => createFilter(kernel, 3, action))))
  })

  test("to remove a filter", () => {
    const { request } = recorded("tc filter del dev veth0 parent ffff: protocol all prio 1 u32")
    const ours = requestOf((kernel) => removeFilter(kernel, 3))
    expect(requestTree(ours, filterShape)).toEqual(requestTree(request, filterShape))
  })
})

describe("what the kernel lists is read as tc shows it", () => {
  const listed = (command: string, type: number) =>
    recorded(command)
      .replies.flatMap(decodeMessages)
      .filter((message) => message.type === type)

  test.each([
    ["veth0", 3],
    ["bwp0", 4],
  ])("the qdiscs of %s", (link, index) => {
    const command = `tc -j qdisc show dev ${link}`
    const shown: { kind: string; handle: string; options: { rate?: number } }[] = recorded(command).output
    const read = listed(command, RTM.NEWQDISC)
      .filter((message) => new DataView(message.payload.slice().buffer).getInt32(4, true) === index)
      .map(decodeQdisc)
    for (const { kind, handle, options } of shown) {
      const qdisc = read.find((each) => each.kind === kind && each.handle === Number.parseInt(handle, 16) * 0x10000)
      expect(qdisc?.tokenBucket?.rate).toBe(options.rate)
    }
  })

  test.each([
    ["", { kind: "police", rate: 2e6, burst: 1_562_500 }],
    [" -s", { kind: "police", rate: 5e9, burst: 32_765 }],
    [" -d", { kind: "redirect", to: 4 }],
  ])("the filters of tc%s", (option, action) => {
    const replies = recorded(filtersCommand(option)).replies.slice(-2)
    const { conversation } = new FakeKernel((request) => replay(request, replies))
    expect(listFilters(conversation, 3)).toEqual([{ kind: "u32", priority: 1, matchesAll: true, action }])
  })
})
