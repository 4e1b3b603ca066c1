import { beforeEach, describe, expect, test, vi } from "vitest"
import { attachmentAlias } from "../../../lib/attachment/alias.ts"
import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { hostVethName } from "../../../lib/attachment/names.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import { podMappings, tcp } from "../../../lib/testing/host-ports.ts"
import { ensureHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { listPodRules } from "./rule-list.ts"
import { tagOf } from "./rule-tag.ts"
import { belongsToNone, findStale } from "./stale-rules.ts"

vi.mock("../../../lib/attachment/live-addresses.ts", () => ({ readLiveAddresses: vi.fn() }))

const pod: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }

describe("of rules that GC may remove", () => {
  const isStale = belongsToNone("podnet", [pod])

  test.each<[string, Attachment, boolean]>([
    ["a valid attachment's is none", pod, false],
    ["that of another container is one", { ...pod, containerId: "c2" }, true],
    ["that of the container's other interface is one", { ...pod, ifname: "net1" }, true],
    ["that of an interface whose name begins alike is one", { ...pod, ifname: "eth00" }, true],
    ["another network's is none", { ...pod, network: "other", containerId: "c2" }, false],
    ["that of a network whose name begins alike is none", { ...pod, network: "podnet2", containerId: "c2" }, false],
  ])("%s", (_, attachment, expected) => {
    expect(isStale(tagOf(attachment))).toBe(expected)
  })

  test("the Go plugin's are none, as they do not name their network", () => {
    expect(isStale({ comment: "c2", note: undefined })).toBe(false)
  })

  test("names of any length are told apart", () => {
    const long = { network: "n".repeat(200), containerId: "c".repeat(300), ifname: "eth0" }
    const test = belongsToNone(long.network, [long])
    expect([long, { ...long, containerId: `${long.containerId}d` }].map((one) => test(tagOf(one)))).toEqual([
      false,
      true,
    ])
    expect(belongsToNone(`${long.network}m`, [])(tagOf(long))).toBe(false)
  })
})

describe("without a list of valid attachments", () => {
  const others = { veth: "c2", address: "c3", elsewhere: "c4" }
  let node: FakeNode

  beforeEach(() => {
    node = new FakeNode()
    const ids = [pod.containerId, others.veth, others.address]
    for (const [at, containerId] of ids.entries())
      ensureHostports(node, { ...pod, containerId }, [podMappings(`10.1.0.${at + 1}/24`, [tcp(at + 1)])])
    ensureHostports(node, { ...pod, network: "other", containerId: others.elsewhere }, [
      podMappings("10.2.0.1/24", [tcp(9)]),
    ])
    const withVeth = { ...pod, containerId: others.veth }
    node.links.add({ name: hostVethName(withVeth), kind: "veth", alias: attachmentAlias(withVeth) })
    vi.mocked(readLiveAddresses).mockReturnValue(new Set(["10.1.0.3", "192.0.2.1"]))
  })

  const gone = () => findStale(listPodRules(node.nfnetlink, layoutOf(4)), node, "podnet").map(({ comment }) => comment)

  test("a pod is gone that has neither veth nor address: all its rules are found, and no others", () => {
    expect(gone()).toEqual([pod.containerId, pod.containerId, pod.containerId])
  })

  test("nobody is gone while a veth does not say whose it is", () => {
    node.links.add({ name: "veth1234abcd", kind: "veth" })
    expect(gone()).toEqual([])
  })

  test("nobody is gone while not all namespaces can be looked into", () => {
    vi.mocked(readLiveAddresses).mockReturnValue(undefined)
    expect(gone()).toEqual([])
  })

  test("namespaces are not read if every pod has its veth", () => {
    for (const containerId of [pod.containerId, others.address])
      node.links.add({ name: `v-${containerId}`, kind: "veth", alias: attachmentAlias({ ...pod, containerId }) })
    vi.mocked(readLiveAddresses).mockClear()
    expect(gone()).toEqual([])
    expect(readLiveAddresses).not.toHaveBeenCalled()
  })
})
