import { beforeEach, describe, expect, test } from "vitest"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { findAttribute } from "../../../lib/netlink/attribute.ts"
import type { Request } from "../../../lib/netlink/conversation.ts"
import { refusedWith } from "../../../lib/netlink/kernel-error.ts"
import { decodeMessages, type Message } from "../../../lib/netlink/message.ts"
import { HEADER } from "../../../lib/netlink/netfilter/nfnetlink.ts"
import { deleteRule } from "../../../lib/netlink/netfilter/rule.ts"
import { flushSet } from "../../../lib/netlink/netfilter/set.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import { podMappings, tcp } from "../../../lib/testing/host-ports.ts"
import { claimPorts, mayHaveRules, releasePorts, rewriteClaims } from "./claims.ts"
import { ensureHostports, removeHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { listPodRules } from "./rule-list.ts"

const [GETRULE, AF_INET] = [0xa07, 2]
const NFTA_RULE_CHAIN = 2

const layout = layoutOf(4)
const one: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const two: Attachment = { ...one, containerId: "c2" }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
  ensureHostports(node, one, [podMappings("10.1.0.2/24", [tcp(80), tcp(81, "192.0.2.1")])])
})

const rules = (prefix?: string) => listPodRules(node.nfnetlink, layout, prefix)
const change = (changes: Iterable<Request>) => transact(node.nfnetlink, () => changes)

/** Returns if a new container could not have the port, by the sets alone; changes nothing. */
function isClaimed(port: number): boolean {
  try {
    change([...claimPorts(layout, "nobody", [tcp(port)]), deleteRule(layout.hostports, 9999n)])
  } catch (error) {
    if (refusedWith(error, "EEXIST")) return true
    if (!refusedWith(error, "ENOENT")) throw error
  }
  return false
}

describe("a container without rules", () => {
  test("claims its ports, and is listed itself", () => {
    change(claimPorts(layout, "c2", [tcp(82), tcp(83)]))
    expect([80, 81, 82, 83, 84].map(isClaimed)).toEqual([true, true, true, true, false])
    expect(["c1", "c2", "c3"].map((id) => mayHaveRules(node.nfnetlink, layout, id))).toEqual([true, true, false])
  })

  test.each([
    ["one of its ports", "c2", 80],
    ["its own container", "c1", 90],
  ])("is refused if %s is listed already, and changes nothing", (_, id, port) => {
    expect(() => change(claimPorts(layout, id, [tcp(91), tcp(port)]))).toThrow("EEXIST")
    expect([isClaimed(91), mayHaveRules(node.nfnetlink, layout, "c2")]).toEqual([false, false])
  })

  test("may claim the same port twice, by two addresses", () => {
    change(claimPorts(layout, "c2", [tcp(90, "192.0.2.1"), tcp(90, "192.0.2.2")]))
    expect(isClaimed(90)).toBe(true)
  })
})

test("rewriteClaims() lists the rules' claims and the new pod's, and drops entries without rules", () => {
  change(claimPorts(layout, "killed", [tcp(95)]))
  change(rewriteClaims(layout, rules(), "c2", [tcp(82)]))
  expect([80, 81, 82, 95].map(isClaimed)).toEqual([true, true, true, false])
  expect(["c1", "c2", "killed"].map((id) => mayHaveRules(node.nfnetlink, layout, id))).toEqual([true, true, false])
})

describe("an attachment that is removed", () => {
  test("releases its ports and its container, and nobody else's", () => {
    ensureHostports(node, two, [podMappings("10.1.0.3/24", [tcp(82)])])
    change(releasePorts(node.nfnetlink, layout, rules("c1"), []))
    expect([80, 81, 82].map(isClaimed)).toEqual([false, false, true])
    expect(["c1", "c2"].map((id) => mayHaveRules(node.nfnetlink, layout, id))).toEqual([false, true])
  })

  test("leaves a port that another has at another address, until that is removed too", () => {
    ensureHostports(node, two, [podMappings("10.1.0.3/24", [tcp(81, "192.0.2.2")])])
    removeHostports(node, one)
    expect([80, 81].map(isClaimed)).toEqual([false, true])
    removeHostports(node, two)
    expect(isClaimed(81)).toBe(false)
  })

  test("reads no other's rules, unless another has had a port of it at another address", () => {
    const reads = (attachment: Attachment) => {
      const before = node.filterRequests.length
      removeHostports(node, attachment)
      const messages = node.filterRequests.slice(before).flatMap(decodeMessages)
      const isOfAll = ({ type, payload }: Message) =>
        type === GETRULE && payload[0] === AF_INET && !findAttribute(payload, NFTA_RULE_CHAIN, HEADER)
      return messages.filter(isOfAll).length
    }
    ensureHostports(node, two, [podMappings("10.1.0.3/24", [tcp(82, "192.0.2.2")])])
    expect(reads(two)).toBe(0)
    ensureHostports(node, two, [podMappings("10.1.0.3/24", [tcp(81, "192.0.2.2")])])
    expect(reads(two)).toBe(1)
    expect(reads(one)).toBe(0)
    expect([80, 81].map(isClaimed)).toEqual([false, false])
  })

  test("of a table that knows no shared ports, as earlier builds made it, has all rules read", () => {
    ensureHostports(node, two, [podMappings("10.1.0.3/24", [tcp(81, "192.0.2.2")])])
    change([flushSet(layout.containers)])
    removeHostports(node, one)
    expect([80, 81].map(isClaimed)).toEqual([false, true])
  })

  test("leaves port and container while the container has them by another attachment", () => {
    const second: Attachment = { ...one, ifname: "net1" }
    ensureHostports(node, second, [podMappings("10.2.0.2/24", [tcp(80)])])
    removeHostports(node, one)
    expect([80, 81].map(isClaimed)).toEqual([true, false])
    expect(mayHaveRules(node.nfnetlink, layout, "c1")).toBe(true)
    removeHostports(node, second)
    expect([isClaimed(80), mayHaveRules(node.nfnetlink, layout, "c1")]).toEqual([false, false])
  })

  test("need not be listed", () => {
    change([flushSet(layout.claims), flushSet(layout.containers)])
    removeHostports(node, one)
    expect(rules()).toEqual([])
  })
})

test("a container may have rules if somebody emptied the set that lists them", () => {
  change([flushSet(layout.containers)])
  expect(mayHaveRules(node.nfnetlink, layout, "c1")).toBe(true)
})
