import { describe, expect, test } from "vitest"
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts"
import { formatPrefix } from "../../ip/prefix.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { done, FakeKernel, part, refuse, replay, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, recorded } from "../../testing/recorded.ts"
import { decodeMessages, type Message } from "../message.ts"
import { printMessage } from "../protocol.ts"
import { rtnetlink } from "./rtnetlink.ts"
import { createPolicyRule, decodePolicyRule, isFrom, listPolicyRules, removePolicyRule } from "./rule.ts"

const shape: Shape = { header: 12, nested: {} }
const pod = parseAddress("10.1.2.3") as Address
const pod6 = parseAddress("fd00::3") as Address

describe("requests say what iproute2 says", () => {
  test.each([
    ["ip rule add from 10.1.2.3 table 100", pod, 100],
    ["ip rule add from 10.1.2.3/32 table 1000", pod, 1000],
    ["ip -6 rule add from fd00::3 table 100", pod6, 100],
  ])("%s", (command, sender, table) => {
    const ours = requestOf((kernel) => createPolicyRule(kernel, sender, table))
    expect(requestTree(ours, shape)).toEqual(requestTree(recorded(command).request, shape))
  })

  test("and to remove one the action, too, so that no rule is taken for it that refuses packets", () => {
    const { request } = recorded("ip rule del from 10.1.2.3 table 100 priority 32765")
    const theirs = requestTree(request, shape)
    const ours = requestOf((kernel) => removePolicyRule(kernel, pod, 100, 32765))
    expect(theirs["header"]).toBe("020020006400000000000000")
    expect(requestTree(ours, shape)).toEqual({ ...theirs, header: "020020006400000100000000" })
  })
})

/** The output of `ip -j rule`. */
interface Printed {
  readonly priority: number
  readonly src: string
  readonly srclen?: number
  readonly table?: string
}

const tables: Readonly<Record<string, number>> = { local: 255, main: 254, default: 253 }

describe("replies mean what ip printed", () => {
  test.each(["ip -j rule show", "ip -j -6 rule show"])("%s", (command) => {
    const { replies, output } = recorded(command)
    const rules = replies
      .flatMap(decodeMessages)
      .filter(({ type }) => type === 32)
      .map(decodePolicyRule)
    const ours = rules.map(({ source, table, priority }) => ({
      priority,
      src: source
        ? source.length === 32 || source.length === 128
          ? formatAddress(source.address)
          : formatPrefix(source)
        : "all",
      table,
    }))
    const theirs = (output as Printed[]).map(({ priority, src, srclen, table = "0" }) => ({
      priority,
      src: srclen === undefined ? src : `${src}/${srclen}`,
      table: tables[table] ?? Number(table),
    }))
    expect(ours).toEqual(theirs)
  })

  test("of all rules that name the address, only that which says nothing else is from it", () => {
    const { replies } = recorded("ip -j rule show")
    const { conversation } = new FakeKernel((asked) => replay(asked, replies))
    const rules = listPolicyRules(conversation)
    expect(rules.filter(({ source }) => source?.address.value === pod.value).length).toBeGreaterThan(7)
    expect(rules.filter((rule) => isFrom(rule, pod)).map(({ table }) => table)).toEqual([1000])
    expect(rules.filter((rule) => isFrom(rule, pod6))).toEqual([])
  })
})

describe("listing", () => {
  test("asks for the rules of all families, and gives those of IPv4 and IPv6", () => {
    const payloads = ["02", "80", "0a", "81"].map((family) => fromHex(`${family}000000${family}00000100000000`))
    const kernel = new FakeKernel((asked) => [part(asked, 32, payloads), done(asked)])
    expect(listPolicyRules(kernel.conversation).map(({ table }) => table)).toEqual([0x02, 0x0a])
    expect(requestTree(kernel.requests[0] ?? new Uint8Array(), shape)).toEqual({
      message: "type 34 flags 301",
      header: "000000000000000000000000",
    })
  })

  test("a refusal is thrown, as by a kernel without rules", () => {
    const { conversation } = new FakeKernel((asked) => [refuse(asked, 95)])
    expect(() => listPolicyRules(conversation)).toThrow("cannot list the rules of routing policy: EOPNOTSUPP")
  })

  test.each([
    ["a message cut short", "0200"],
    ["an attribute that does not fit", "0200200000000001000000000900020001"],
  ])("%s is malformed", (_, hex) => {
    const message: Message = { type: 32, flags: 0, sequence: 1, payload: fromHex(hex) }
    expect(() => decodePolicyRule(message)).toThrow("malformed netlink message")
  })
})

describe("removing", () => {
  test("is done if the rule is gone", () => {
    const { replies } = recorded("ip rule del from 10.1.2.3 table 4000")
    const { conversation } = new FakeKernel((asked) => replay(asked, replies))
    expect(() => removePolicyRule(conversation, pod, 4000)).not.toThrow()
  })

  test("any other refusal names address and table", () => {
    const { conversation } = new FakeKernel((asked) => [refuse(asked, 1)])
    expect(() => removePolicyRule(conversation, pod, 4000)).toThrow(
      "cannot remove the rule from 10.1.2.3 to table 4000: EPERM",
    )
  })
})

test("the log says what a rule says", () => {
  const [message] = decodeMessages(recorded("ip rule add from 10.1.2.3/32 table 1000").request)
  expect(message && printMessage(rtnetlink, message, new Uint8Array())).toMatchObject({
    type: "RTM_NEWRULE",
    header: { family: "inet", dst_len: 0, src_len: 32, table: 0, action: "lookup" },
    attributes: { FRA_SRC: "10.1.2.3", FRA_TABLE: 1000 },
  })
})
