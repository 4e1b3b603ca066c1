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

test.each(['e"0', "e{0", "e}0", "e;0", "e#0", "e\\0", "e$0", "e`0", "ä1", "e\u200b0", "\u{1d11e}"])(
  "a digest stands for the interface %s",
  (ifname) => {
    const comment = ruleComment({ ...one, ifname })
    expect(comment).toMatch(/^[0-9a-f]{16}-[0-9a-f]{16}, net: unit-test, if: sha512-[0-9a-f]{16}, id: one$/)
    expect(comment.startsWith(ruleKey({ ...one, ifname }))).toBe(true)
    expect(comment).not.toBe(ruleComment({ ...one, ifname: `${ifname}1` }))
  },
)

test("a comment is cut at 128 bytes", () => {
  expect(ruleComment({ ...one, containerId: "c".repeat(100) })).toHaveLength(128)
})
