import { beforeEach, describe, expect, test } from "vitest"
import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { hostVethName } from "../../lib/attachment/names.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Mac } from "../../lib/ip/mac.ts"
import { fromInterface, transfer } from "../../lib/netlink/netfilter/phrase.ts"
import { appendRule, flushChain, listRules } from "../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable, listChains, readChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { FakeNode } from "../../lib/testing/fake-node.ts"
import { ensureMacGuard, macGuardProblem, macGuardRules, removeMacGuard } from "./mac-guard.ts"

const table = { family: "bridge", name: "nat" } as const
const prerouting = { table, name: "PREROUTING" }
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1) as Mac
const OTHER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2) as Mac
const pod: Attachment = { network: "podnet", containerId: "c1", ifname: "eth1" }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
})

/** As ADD does: the veth comes first, its alias last. */
function guard(attachment: Attachment, mac = MAC, on = node): void {
  on.links.remove(hostVethName(attachment))
  on.links.add({ name: hostVethName(attachment), kind: "veth", alias: attachmentAlias(attachment) })
  ensureMacGuard(on, attachment, hostVethName(attachment), mac)
}

const problem = (attachment: Attachment, mac = MAC) => macGuardProblem(node, attachment, hostVethName(attachment), mac)
const jumps = () => listRules(node.nfnetlink, prerouting).map(({ comment }) => comment)
const chains = () => listChains(node.nfnetlink, table).map(({ name }) => name)
const chainOf = ({ containerId, ifname }: Attachment) => ({ table, name: `cni-br-iface-${containerId}-${ifname}` })

test("a pod is guarded by two chains, which the rule for its veth leads to", () => {
  expect(problem(pod)).toContain("are not those that guard")
  guard(pod)
  expect(problem(pod)).toBeUndefined()
  expect(problem(pod, OTHER_MAC)).toContain("chain cni-br-iface-c1-eth1-mac of table bridge nat")
  removeMacGuard(node, pod)
  expect([jumps(), chains()]).toEqual([[], ["PREROUTING"]])
})

test("a repeated ADD, as after a killed one, leaves one guard, for the new MAC address", () => {
  guard(pod)
  guard(pod, OTHER_MAC)
  expect(jumps()).toEqual(["macspoofchk-c1-eth1"])
  expect(problem(pod, OTHER_MAC)).toBeUndefined()
  expect(problem(pod)).toContain("-mac")
})

test("an ADD after somebody emptied PREROUTING restores the rule there, once", () => {
  guard(pod)
  transact(node.nfnetlink, () => [flushChain(prerouting)])
  expect(problem(pod)).toContain("PREROUTING")
  guard(pod)
  expect(problem(pod)).toBeUndefined()
  expect(jumps()).toHaveLength(1)
})

describe.each<[string, Attachment, Attachment]>([
  ["eth1 and eth10 of a container", pod, { ...pod, ifname: "eth10" }],
  ["eth10 and eth1 of a container", { ...pod, ifname: "eth10" }, pod],
  [
    "a container's interfaces that its long id leaves no room for in the comment",
    { ...pod, containerId: "c".repeat(200) },
    { ...pod, containerId: "c".repeat(200), ifname: "eth2" },
  ],
  [
    "a container's interfaces that its long id leaves no room for in the chain's name",
    { ...pod, containerId: "c".repeat(250) },
    { ...pod, containerId: "c".repeat(250), ifname: "eth2" },
  ],
])("%s", (_, one, other) => {
  test("are guarded each for itself", () => {
    guard(one)
    guard(other, OTHER_MAC)
    expect(problem(one)).toBeUndefined()
    expect(problem(other, OTHER_MAC)).toBeUndefined()
    guard(one)
    expect(jumps()).toHaveLength(2)
    expect(problem(other, OTHER_MAC)).toBeUndefined()
  })

  test("lose their guards each by itself", () => {
    guard(one)
    guard(other)
    removeMacGuard(node, one)
    expect(problem(other)).toBeUndefined()
    expect(jumps()).toHaveLength(1)
    removeMacGuard(node, one)
    expect(problem(other)).toBeUndefined()
  })
})

describe("DEL", () => {
  test("for another network that failed to get the same interface leaves the guard of the first", () => {
    guard(pod)
    removeMacGuard(node, { ...pod, network: "other" })
    expect(problem(pod)).toBeUndefined()
  })

  test("removes the guard of a veth that is gone, or that the Go plugin made", () => {
    guard(pod)
    node.links.remove(hostVethName(pod))
    removeMacGuard(node, pod)
    expect(jumps()).toEqual([])
    node.links.add({ name: "veth1234abcd", kind: "veth" })
    ensureMacGuard(node, pod, "veth1234abcd", MAC)
    removeMacGuard(node, pod)
    expect([jumps(), chains()]).toEqual([[], ["PREROUTING"]])
  })

  test("removes the chains of a guard whose rule in PREROUTING somebody deleted", () => {
    guard(pod)
    transact(node.nfnetlink, () => [flushChain(prerouting)])
    removeMacGuard(node, pod)
    expect(chains()).toEqual(["PREROUTING"])
  })
})

test("a PREROUTING chain elsewhere is said to be somebody else's, and left as it is", () => {
  const base = { type: "filter", hook: "prerouting", priority: 7, policy: "accept" } as const
  transact(node.nfnetlink, () => [ensureTable(table), ensureChain({ ...prerouting, base })])
  expect(() => guard(pod)).toThrow("chain PREROUTING of table bridge nat is somebody else's")
  expect(readChain(node.nfnetlink, prerouting)?.base).toEqual(base)
  expect(chains()).toEqual(["PREROUTING"])
})

describe("GC", () => {
  const [gone, kept] = [pod, { ...pod, containerId: "c2" }]
  const elsewhere: Attachment = { ...pod, network: "other", containerId: "c3" }

  test("removes the guards of the network's attachments that are not valid, and no others", () => {
    for (const attachment of [gone, kept, elsewhere]) guard(attachment)
    ensureMacGuard(node, { ...pod, containerId: "go" }, "veth1234abcd", MAC)
    macGuardRules.collect(node, "podnet", [kept])
    expect(jumps()).toEqual(["macspoofchk-c2-eth1", "macspoofchk-c3-eth1", "macspoofchk-go-eth1"])
    expect([kept, elsewhere].map((attachment) => problem(attachment))).toEqual([undefined, undefined])
    expect(chains()).toHaveLength(1 + 2 * 3)
  })

  test("that is told nothing spares those that have a veth, and all while one does not say whose it is", () => {
    for (const attachment of [gone, kept]) guard(attachment)
    node.links.remove(hostVethName(gone))
    node.links.add({ name: "veth12345678", kind: "veth" })
    macGuardRules.collect(node, "podnet", undefined)
    expect(jumps()).toHaveLength(2)
    node.links.remove("veth12345678")
    macGuardRules.collect(node, "podnet", undefined)
    expect(jumps()).toEqual(["macspoofchk-c2-eth1"])
  })

  test("spares a pod that is added in the middle of it", () => {
    guard(gone)
    node.links.remove(hostVethName(gone))
    node.meanwhile(0x10, () => guard(kept, MAC, node.again()))
    macGuardRules.collect(node, "podnet", undefined)
    expect(jumps()).toEqual(["macspoofchk-c2-eth1"])
    expect(problem(kept)).toBeUndefined()
  })

  test("removes all but an empty chain that rules of others lead to, and names these", () => {
    for (const attachment of [gone, kept]) guard(attachment)
    const others = { table, name: "others" }
    const foreign = { expressions: [...fromInterface("eth9"), transfer("jump", chainOf(gone).name)], comment: "mine" }
    transact(node.nfnetlink, () => [ensureChain(others), appendRule(others, foreign)])
    const { held } = macGuardRules.collect(node, "podnet", [])
    expect(held.map(({ words }) => words)).toEqual([
      expect.stringMatching(/^chain cni-br-iface-c1-eth1 .* rule handle \d+ of chain "others" \("mine"\)$/),
    ])
    expect(jumps()).toEqual([])
    expect(chains()).toEqual(["PREROUTING", chainOf(gone).name, "others"])
    expect(listRules(node.nfnetlink, chainOf(gone))).toEqual([])
  })
})
