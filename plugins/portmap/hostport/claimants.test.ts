import { beforeEach, describe, expect, test, vi } from "vitest"
import { attachmentAlias } from "../../../lib/attachment/alias.ts"
import { readLiveAddresses } from "../../../lib/attachment/live-addresses.ts"
import { hostVethName } from "../../../lib/attachment/names.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import type { FakeLink } from "../../../lib/testing/fake-stack.ts"
import { podMappings, tcp } from "../../../lib/testing/host-ports.ts"
import { findGoneClaimants } from "./claimants.ts"
import { ensureHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { listPodRules } from "./rule-list.ts"

vi.mock("../../../lib/attachment/live-addresses.ts", () => ({ readLiveAddresses: vi.fn() }))

const holder: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const pod: Attachment = { ...holder, containerId: "c2" }
const wanted = podMappings("10.1.0.3/24", [tcp(80)])

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
  vi.mocked(readLiveAddresses).mockReset().mockReturnValue(new Set())
  ensureHostports(node, holder, [podMappings("10.1.0.2/24", [tcp(80), tcp(81)])])
})

const rules = () => listPodRules(node.nfnetlink, layoutOf(4))
const find = (attachment = pod, ports = wanted) => findGoneClaimants(node, attachment, ports, rules())
const vethOf = (attachment: Attachment) => ({
  name: hostVethName(attachment),
  kind: "veth",
  alias: attachmentAlias(attachment),
  master: 7,
})
const unmarked = { name: "veth1234abcd", kind: "veth", master: 7 }

describe("a pod that has neither veth nor address any more", () => {
  beforeEach(() => node.links.add(vethOf(pod)))

  test("gives up its port, and all its rules, once", () => {
    expect([...find(pod, podMappings("10.1.0.3/24", [tcp(80), tcp(81)]))].map(({ comment }) => comment)).toEqual(
      rules().map(() => "c1"),
    )
  })

  test("gives up only what its attachment had", () => {
    const second = { ...holder, ifname: "net1" }
    ensureHostports(node, second, [podMappings("10.1.0.9/24", [tcp(82)])])
    expect([...find()].map(({ note }) => note)).not.toContain("podnet net1")
  })

  test("is not looked for if its port is not wanted", () => {
    expect(find(pod, podMappings("10.1.0.3/24", [tcp(99), { ...tcp(80), protocol: "udp" }]))).toEqual(new Set())
    expect(readLiveAddresses).not.toHaveBeenCalled()
  })

  test("is looked for in all namespaces but that of the new pod, which may have requested its address", () => {
    find(pod, podMappings("10.1.0.2/24", [tcp(80)], { netns: "/run/netns/new" }))
    expect(vi.mocked(readLiveAddresses).mock.calls).toEqual([["/run/netns/new"]])
  })
})

describe("a port stays taken by a pod", () => {
  const links: Record<string, readonly Omit<FakeLink, "index">[]> = {
    "that has its veth": [vethOf(pod), vethOf(holder)],
    "whose ADD is not finished": [vethOf(pod), { ...vethOf(holder), alias: "" }],
    "whose veth was renamed": [vethOf(pod), { ...vethOf(holder), name: "veth-of-mine" }],
    "whose veth the Go plugin may have made": [vethOf(pod), unmarked],
    "of a network whose pods have no veth": [],
  }
  test.each(Object.entries(links))("%s", (_, those) => {
    node.links.add(...those)
    expect(() => find()).toThrow("host port 80/tcp is taken by container c1 (network podnet, interface eth0)")
  })

  test("whose address is somewhere", () => {
    node.links.add(vethOf(pod))
    vi.mocked(readLiveAddresses).mockReturnValue(new Set(["10.1.0.2"]))
    expect(() => find()).toThrow(Conflict)
  })

  test("while not all namespaces can be looked into", () => {
    node.links.add(vethOf(pod))
    vi.mocked(readLiveAddresses).mockReturnValue(undefined)
    expect(() => find()).toThrow(Conflict)
  })

  test("of another network, which may have no veth at all", () => {
    const other = { ...pod, network: "other" }
    node.links.add(vethOf(other))
    expect(() => find(other)).toThrow(Conflict)
  })

  test("whose container's name is too long to be told whose it is", () => {
    const long = { ...holder, containerId: "c".repeat(200) }
    ensureHostports(node, long, [podMappings("10.1.0.9/24", [tcp(90)])])
    node.links.add(vethOf(pod))
    expect(() => find(pod, podMappings("10.1.0.3/24", [tcp(90)]))).toThrow(/taken by container c{95}#/)
  })
})

test("unmarked veths on other bridges, and ours of computed names that are not finished, are not the pod's", () => {
  node.links.add(vethOf(pod), { ...unmarked, master: 8 })
  node.links.add({ ...vethOf({ ...holder, containerId: "c9" }), alias: "" })
  expect(find().size).toBeGreaterThan(0)
})

test("a container's other attachment may have the port too", () => {
  const second = { ...holder, network: "other", ifname: "net1" }
  expect(find(second)).toEqual(new Set())
})
