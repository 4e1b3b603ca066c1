import { expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { Chain } from "../../lab/chain.ts"
import type { NetworkList } from "../../lab/cnitool.ts"
import { Node } from "../../lab/node.ts"
import { DUAL, hostLocal } from "../bridge/network.ts"
import { ADDRESSES, podWith, QUIET, ROUTES, resultOf, routesIn, tableOf, vrf } from "./network.ts"

const [IF0, IF1] = ["eth0", "net1"]

test.each(["0.4.0", "1.1.0"])(
  "an interface is added to a new VRF, checked, and taken out of it again at %s",
  (cniVersion) => {
    using node = new Node()
    const pod = podWith(node, [...ADDRESSES, ...ROUTES])
    const before = routesIn(pod, "main")
    const network = vrf(node, { cniVersion, prevResult: { ...resultOf(pod), cniVersion } })
    const result = network.connect(pod)
    expect(result).toMatchObject({ ...resultOf(pod), cniVersion })
    expect(pod.link("eth0")?.master).toBe("blue")
    expect(pod.link("blue")).toMatchObject({ flags: expect.arrayContaining(["UP"]), linkinfo: { info_kind: "vrf" } })
    expect([tableOf(pod), routesIn(pod, "main"), routesIn(pod, 1)]).toEqual([1, [], before])
    expect(pod.addresses("eth0")).toEqual(["10.1.0.2/24", "fd10::2/64"])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
    expect([pod.link("blue"), pod.link("eth0")?.master]).toEqual([undefined, undefined])
    expect([pod.addresses("eth0"), routesIn(pod, "main")]).toEqual([["10.1.0.2/24", "fd10::2/64"], before])
  },
)

test("routes of the pod's other interface stay where they are", () => {
  using node = new Node()
  const others = ["addr add 10.2.0.2/24 dev net1", "route add 10.60.0.0/16 via 10.2.0.1"]
  const pod = podWith(node, [...ADDRESSES, ...ROUTES, ...others], "eth0 net1")
  vrf(node, { prevResult: resultOf(pod) }).connect(pod)
  expect(routesIn(pod, "main")).toEqual(["10.2.0.0/24 dev net1", "10.60.0.0/16 via 10.2.0.1"])
})

test.each([
  ["one VRF", "blue", "10.2.0.2/24", [1, 1]],
  ["two VRFs", "red", "10.2.0.2/24", [1, 2]],
  ["two VRFs with one address", "red", "10.1.0.2/24", [1, 2]],
  ["one VRF, by IPv6", "blue", "fd20::2/64", [1, 1]],
  ["two VRFs with one IPv6 address", "red", "fd10::2/64", [1, 2]],
])("two interfaces in %s: each leaves by itself, and a VRF goes with its last", (_, second, address, tables) => {
  using node = new Node()
  const pod = podWith(node, [...ADDRESSES, `addr add ${address} dev net1`], "eth0 net1")
  const networks = [
    [vrf(node, { prevResult: resultOf(pod, IF0) }), IF0],
    [vrf(node, { name: "other", vrfname: second, prevResult: resultOf(pod, IF1) }), IF1],
  ] as const
  const results = networks.map(([network, ifname]) => network.connect(pod, { ifname })) as [Result, Result]
  expect([tableOf(pod), tableOf(pod, second)]).toEqual(tables)
  expect(pod.addresses(IF1)).toEqual([address])
  for (const [at, [network, ifname]] of networks.entries())
    expect(network.check(pod, results[at as 0 | 1], { ifname })).toMatchObject(QUIET)
  expect(networks[0][0].del(pod)).toMatchObject(QUIET)
  expect([pod.link(IF1)?.master, pod.link("blue") !== undefined]).toEqual([second, second === "blue"])
  expect(networks[1][0].check(pod, results[1], { ifname: IF1 })).toMatchObject(QUIET)
  expect(networks[1][0].del(pod, { ifname: IF1 })).toMatchObject(QUIET)
  expect(pod.ip("link", "show", "type", "vrf")).toEqual([])
})

test("`table` is the VRF's; another one for the same VRF is refused, the same one for another VRF is not", () => {
  using node = new Node()
  const pod = podWith(node, ADDRESSES, "eth0 net1")
  const first = vrf(node, { table: 1001, prevResult: resultOf(pod) })
  const result = first.connect(pod)
  expect([tableOf(pod), routesIn(pod, 1001).length]).toEqual([1001, 2])
  expect(first.check(pod, result, { config: { table: 1002 } }).error).toMatchObject({
    code: 104,
    msg: "table of VRF blue is 1001, not 1002",
  })
  const add = (config: object) => vrf(node, { prevResult: resultOf(pod, IF1), ...config }).add(pod, { ifname: IF1 })
  expect(add({ table: 1002 }).error).toMatchObject({
    code: 102,
    msg: "VRF blue already exist with different routing table 1001",
  })
  expect([add({ vrfname: "red", table: 1001 }).exitCode, tableOf(pod, "red")]).toEqual([0, 1001])
})

test("a VRF that somebody else made is used as it is, set up if it is down, and goes with its last interface", () => {
  using node = new Node()
  const pod = podWith(node)
  pod.ip("link", "add", "blue", "type", "vrf", "table", "77")
  const network = vrf(node, { prevResult: resultOf(pod) })
  network.connect(pod)
  expect([tableOf(pod), pod.link("blue")?.flags?.includes("UP"), routesIn(pod, 77).length]).toEqual([77, true, 2])
  network.del(pod)
  expect(pod.link("blue")).toBeUndefined()
})

test.each(["bridge", "ptp"])(
  "behind %s, dual stack, pods reach their gateway by the VRF, and every plugin's CHECK holds",
  (type) => {
    using node = new Node()
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "10.77.0.0/16" }]
    const first = { type, ipam: hostLocal(node, DUAL, { routes }), ...(type === "bridge" && { isGateway: true }) }
    const list = { name: "net", cniVersion: "1.1.0", plugins: [first, { type: "vrf", vrfname: "blue" }] } as unknown
    const pod = node.pod()
    const chain = new Chain(node, list as NetworkList, { netns: pod })
    expect(chain.add()).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }])
    expect(chain.check()).toMatchObject([QUIET, QUIET])
    const ping = (address: string) => pod.run("ping", "-n", "-c1", "-W2", "-I", "blue", address).exitCode
    expect([ping("10.244.1.1"), ping("fd00:10:244:1::1")]).toEqual([0, 0])
    expect(chain.del()).toMatchObject([QUIET, QUIET])
    expect(pod.ip("link", "show").map(({ ifname }) => ifname)).toEqual(["lo"])
  },
)
