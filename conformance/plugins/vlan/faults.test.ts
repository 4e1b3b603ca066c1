import { describe, expect, test } from "vitest"
import { disturb } from "../../faults/injection.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Config, leased, leases } from "../bridge/network.ts"
import { fixed } from "../ipvlan/network.ts"
import { dualOfLan, ofLan, plugIn } from "../macvlan/network.ts"
import {
  expectDifferencesNamed,
  expectForgivingDel,
  expectLeasesCollected,
  expectSecondAddRefused,
  expectUnfinishedSpared,
  type Harm,
  linksIn,
  OTHER_MAC,
} from "../pod-link.ts"
import { trunk, VLAN, vlan } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () =>
  expectSecondAddRefused(VLAN))

test("DEL spares a VLAN that an ADD of another attachment has not finished", () => expectUnfinishedSpared(VLAN))

test("DEL needs neither namespace, nor a config that makes sense, nor an ADD before it", () => expectForgivingDel(VLAN))

test("GC frees the leases of attachments that are no longer valid", () => expectLeasesCollected(VLAN))

test("a failed ADD leaves neither interface nor lease (the reference's keeps the VLAN from every pod)", () => {
  using node = new Node()
  plugIn(node)
  const ipam = ofLan(node, { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] })
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    expect(vlan(node, { ipam }, implementation).add(pod).error?.msg).toContain("add route")
    return [linksIn(pod), leased(node)]
  }
  expect(attempt("ours")).toEqual([["lo"], []])
  expect(attempt("reference")[0]).toEqual(["lo", "eth0"])
  const next = vlan(node, { ipam: ofLan(node) }, "reference").add(node.pod())
  expect(next.error?.msg).toBe("failed to create vlan: file exists")
})

test("a master that is down is named before anything is made (the reference leaves an interface that keeps the VLAN)", () => {
  using node = new Node()
  plugIn(node)
  node.ip("link", "set", "uplink", "down")
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    const { error } = vlan(node, { ipam: ofLan(node) }, implementation).add(pod)
    return [error?.code, error?.msg, linksIn(pod)]
  }
  expect(BOTH.map(attempt)).toEqual([
    [102, 'master "uplink" is down', ["lo"]],
    [999, 'failed to set "eth0" UP: network is down', ["lo", "eth0"]],
  ])
})

test("on a master without carrier a pod is attached without a wait, and reached once the cable is in", () => {
  using node = new Node()
  const outside = trunk(node)
  outside.ip("link", "set", "far", "down")
  const pod = node.pod()
  const { config } = vlan(node, { ipam: dualOfLan(node) })
  const { outcome, calls } = node.trace("vlan", { command: "ADD", netns: pod, config })
  expect([outcome.exitCode, pod.addresses("eth0")]).toEqual([0, ["10.20.0.100/24", "fd20::100/64"]])
  expect(calls.filter(({ result }) => result.includes("EAGAIN"))).toEqual([]) // as a wait that was in vain ends
  outside.ip("link", "set", "far", "up") // and with it what is on it
  expect([1, 2, 3, 4, 5].some(() => outside.pings("10.20.0.100"))).toBe(true)
})

describe("a VLAN that is taken is refused, with the interface that has it (the reference says: file exists)", () => {
  const taken = (by: string) => ({ code: 102, msg: `VLAN 5 of "uplink" is taken by ${by}` })

  test("another pod's", () => {
    using node = new Node()
    plugIn(node)
    const [first, second] = [node.pod(), node.pod()]
    vlan(node, { ipam: ofLan(node) }).connect(first)
    const by = `"eth0" ("cni-ts net ${first.containerId} eth0") in ${first.path}`
    expect(vlan(node, { ipam: ofLan(node) }).add(second).error).toMatchObject(taken(by))
    expect([linksIn(second), leases(node)]).toEqual([["lo"], ["10.20.0.100"]])
    const reference = vlan(node, { ipam: fixed("10.20.0.7/24") }, "reference").add(second)
    expect(reference.error?.msg).toBe("failed to create vlan: file exists")
  })

  test("the reference's, the node's own, and the same pod's", () => {
    using node = new Node()
    plugIn(node)
    const [first, second] = [node.pod(), node.pod()]
    const refusal = () => vlan(node).add(second, { ifname: "net1" }).error
    const reference = vlan(node, { ipam: fixed("10.20.0.7/24") }, "reference")
    reference.connect(first)
    expect(refusal()).toMatchObject(taken(`"eth0" in ${first.path}`))
    expect(vlan(node).del(first)).toMatchObject(QUIET)
    reference.connect(second)
    expect(refusal()).toMatchObject(taken(`"eth0" in ${second.path}`))
    expect(vlan(node).del(second)).toMatchObject(QUIET)
    node.ip("link", "add", "link", "uplink", "name", "uplink.5", "type", "vlan", "id", "5")
    expect(refusal()).toMatchObject(taken('"uplink.5"'))
  })
})

test.each([3, 5])("an ADD that is killed at its request %i gives the VLAN back: to ADD, and to DEL", (nth) => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const network = vlan(node, { ipam: fixed("10.20.0.7/24") })
  const kill = () =>
    disturb(
      node,
      "vlan",
      { command: "ADD", netns: pod, config: network.config },
      { name: "sendto", nth, happens: "signal=KILL" },
    )
  expect(kill()).toBeUndefined()
  const result = network.connect(pod)
  expect([linksIn(pod), network.check(pod, result)]).toMatchObject([["lo", "eth0"], QUIET])
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(kill()).toBeUndefined()
  expect([network.del(pod), linksIn(pod)]).toMatchObject([QUIET, ["lo"]])
  network.connect(node.pod())
})

describe("DEL succeeds (the reference fails, and the runtime keeps the pod)", () => {
  const attempt = (implementation: Implementation, config: Config, harm: (node: Node) => void, netns?: string) => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    const network = vlan(node, { ipam: ofLan(node) }, implementation)
    network.connect(pod)
    harm(node)
    const { exitCode } = network.ask("DEL", netns ?? pod, { containerId: pod.containerId, config })
    return [exitCode, leases(node)]
  }

  test.each<[string, Config, (node: Node) => void, netns?: string]>([
    ["where the master was removed", {}, (node) => void node.ip("link", "del", "uplink")],
    [
      "where the master's MTU has become less",
      { mtu: 1500 },
      (node) => void node.ip("link", "set", "uplink", "mtu", "1400"),
    ],
    ["where the namespace is gone and the master was in it", { linkInContainer: true }, () => {}, "/run/netns/gone"],
  ])("%s", (_, config, harm, netns) => {
    expect(attempt("ours", config, harm, netns)).toEqual([0, []])
    expect(attempt("reference", config, harm, netns)).toEqual([1, ["10.20.0.100"]])
  })
})

test("CHECK names the first difference", () => {
  const otherMtu: Harm = [
    (_, node) => void node.ip("link", "set", "uplink", "mtu", "1300"), // the kernel gives it to what is on it
    "MTU of eth0 is 1300, not 1400",
  ]
  expectDifferencesNamed(VLAN, [otherMtu, OTHER_MAC], { mtu: 1400 })
})

test("CHECK sees that the master is another, whatever the MTU (the reference looks at that alone)", () => {
  using node = new Node()
  plugIn(node)
  const network = vlan(node, { mtu: 1400, ipam: fixed("10.20.0.7/24") })
  const pod = node.pod()
  const result = network.connect(pod)
  node.ip("link", "set", "uplink", "mtu", "1300")
  const onLo = { config: { master: "lo" } }
  expect(network.check(pod, result, onLo).error?.msg).toBe("eth0 is not on lo")
  expect(network.as("reference").check(pod, result, onLo).error?.msg).toContain("configured MTU of eth0 is 1400")
})
