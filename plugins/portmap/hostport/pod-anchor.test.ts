import { beforeEach, describe, expect, test } from "vitest"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { ANCHOR, listAnchors } from "../../../lib/netlink/netfilter/anchor.ts"
import { appendRule, deleteRule, flushChain } from "../../../lib/netlink/netfilter/rule.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import { podMappings, portmapConfig, redirections, tcp } from "../../../lib/testing/host-ports.ts"
import { collectHostports, ensureHostports, removeHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { anchorKey } from "./pod-anchor.ts"
import { mappingRule } from "./pod-rules.ts"
import { listPodRules, type PodRule } from "./rule-list.ts"
import { tagOf } from "./rule-tag.ts"
import { findDifference } from "./verify.ts"

const layout = layoutOf(4)
const [ADDRESS, OTHER] = ["10.1.0.2/24", "10.1.0.3/24"]
const pod: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const neighbour: Attachment = { ...pod, containerId: "c2" }

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
})

const rules = () => listPodRules(node.again().nfnetlink, layout)
const led = () => redirections(node)
const collect = (network: string, valid?: readonly Attachment[]) => [...collectHostports(node, network, valid)].flat()

describe("the anchor of an attachment's rules", () => {
  const second: Attachment = { ...pod, ifname: "net1" }
  const names = new Map(
    [pod, second, neighbour].map((each) => [anchorKey(tagOf(each)), `${each.containerId} ${each.ifname}`]),
  )
  const anchors = () => listAnchors(node.again().nfnetlink, layout.table, (key) => names.has(key))
  const whose = () => anchors().map(({ name, note }) => `${names.get(name.slice(ANCHOR.length))} ${note}`)
  const without = (rules: readonly PodRule[]) =>
    transact(node.nfnetlink, () =>
      rules.map(({ chain, handle }) => deleteRule({ ...layout.hostports, name: chain }, handle)),
    )
  beforeEach(() => ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80), tcp(81)])]))

  test("goes with them by DEL and GC, and is there once after ADD again", () => {
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(82)])])
    ensureHostports(node, neighbour, [podMappings(OTHER, [tcp(83)])])
    expect(whose()).toEqual(["c1 eth0 1/2", "c2 eth0 1/2"])
    expect(removeHostports(node, pod).rules).toHaveLength(3)
    expect(whose()).toEqual(["c2 eth0 1/2"])
    expect(collect("podnet", [])).toHaveLength(3)
    expect(whose()).toEqual([])
  })

  test("is taken away by an ADD for another attachment of the container", () => {
    ensureHostports(node, second, [podMappings(OTHER, [tcp(80)])])
    expect(whose()).toEqual([])
    removeHostports(node, pod)
    expect(led()).toEqual(["c1, podnet net1: 80 -> 10.1.0.3"])
    removeHostports(node, second)
    expect(rules()).toEqual([])
  })

  test("that is left without rules, as by the Go plugin's DEL, is in nobody's way, and DEL and GC remove it", () => {
    without(rules())
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    expect([led().length, whose()]).toEqual([1, ["c1 eth0 1/2"]])
    without(rules())
    removeHostports(node, pod)
    expect(whose()).toEqual([])
    ensureHostports(node, pod, [podMappings(ADDRESS, [tcp(80)])])
    without(rules())
    expect([collect("podnet", []), whose()]).toEqual([[], []])
  })

  test("does not hide what the Go plugin, or an earlier build, added to the container meanwhile", () => {
    const { hostports, shared } = layout
    transact(node.nfnetlink, () => [
      ...shared.flatMap(({ chain, rules }) => [flushChain(chain), ...rules.map((rule) => appendRule(chain, rule))]),
      appendRule(hostports, { expressions: mappingRule(podMappings(OTHER, []), tcp(90)), comment: "c1" }),
    ])
    expect(findDifference(node, pod, portmapConfig(), podMappings(ADDRESS, [tcp(80), tcp(81)]))).toBeUndefined()
    removeHostports(node, pod)
    removeHostports(node, { ...pod, network: "other" })
    expect([rules(), whose()]).toEqual([[], []])
  })

  test("is not made for more rules than are read one by one", () => {
    ensureHostports(node, neighbour, [
      podMappings(
        OTHER,
        Array.from({ length: 39 }, (_, index) => tcp(100 + index)),
      ),
    ])
    expect(whose()).toEqual(["c1 eth0 2/2"])
    removeHostports(node, neighbour)
    expect(led()).toHaveLength(2)
  })
})
