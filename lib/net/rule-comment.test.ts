import { expect, test } from "vitest"
import { keyIn, networkRuleKey, ruleComment, ruleKey } from "./rule-comment.ts"

const one = { network: "unit-test", containerId: "one", ifname: "eth0" }

test("comments are those of the Go plugins", () => {
  expect(ruleKey(one)).toBe("6fd94d501e58f0aa-287fc69eff0574a2")
  expect(ruleComment(one)).toBe("6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one")
})

test("the key is found in the comment again, and begins with the network's", () => {
  expect(keyIn(ruleComment(one))).toBe(ruleKey(one))
  expect(ruleKey(one).startsWith(networkRuleKey("unit-test"))).toBe(true)
  expect(ruleKey(one).startsWith(networkRuleKey("unit-test2"))).toBe(false)
  expect(keyIn("no comment of ours")).not.toBe(ruleKey(one))
})

test("attachments that differ in network, container or interface have different keys", () => {
  const others = [{ network: "n" }, { containerId: "two" }, { ifname: "eth1" }].map((other) =>
    ruleKey({ ...one, ...other }),
  )
  expect(new Set([ruleKey(one), ...others]).size).toBe(4)
})

test("a comment has no quotes and is cut at 128 bytes, whatever the characters", () => {
  expect(ruleComment({ ...one, ifname: 'e"0"' })).toContain("if: e0, ")
  expect(ruleComment({ ...one, containerId: "c".repeat(100) })).toHaveLength(128)
  const bytes = new TextEncoder().encode(ruleComment({ ...one, ifname: "ä".repeat(70) })).length
  expect([127, 128]).toContain(bytes)
})
