import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, leases } from "../bridge/network.ts"
import { fixed } from "../ipvlan/network.ts"
import { dualOfLan, OUTSIDE, OUTSIDE6, ofLan } from "../macvlan/network.ts"
import { expectLayer2 } from "../pod-link.ts"
import { trunk, VLAN, vlan } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

test.each([
  ["0.4.0", false],
  ["1.1.0", true],
])(
  "a network with host-local is added, checked and removed at %s, with linkInContainer %s",
  (cniVersion, linkInContainer) => {
    using node = new Node()
    const pod = node.pod()
    trunk(node, linkInContainer ? pod : node)
    const network = vlan(node, { linkInContainer, cniVersion, ipam: ofLan(node) })
    const result = network.connect(pod)
    const master = (linkInContainer ? pod : node).link("uplink")
    expect(result.interfaces).toEqual([{ name: "eth0", mac: master?.address, sandbox: pod.path }])
    expect(result.ips?.[0]).toMatchObject({ address: "10.20.0.100/24", gateway: OUTSIDE, interface: 0 })
    const info = { info_kind: "vlan", info_data: { protocol: "802.1Q", id: 5 } }
    const on = linkInContainer ? { link: "uplink" } : { link_index: master?.ifindex }
    expect(pod.link("eth0")).toMatchObject({ ...on, linkinfo: info })
    expect([pod.addresses("eth0"), pod.pings(OUTSIDE)]).toEqual([["10.20.0.100/24"], true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
    expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
  },
)

test("dual stack: what is in the VLAN is reached, duplicates looked for; what is in another is not", () => {
  using node = new Node()
  trunk(node)
  const [inside, beside] = [node.pod(), node.pod()]
  const network = vlan(node, { ipam: dualOfLan(node) })
  const result = network.connect(inside)
  vlan(node, { vlanId: 6, ipam: dualOfLan(node) }).connect(beside)
  expect(inside.addresses("eth0")).toEqual(["10.20.0.100/24", "fd20::100/64"])
  expect(inside.reaches([OUTSIDE, OUTSIDE6])).toEqual([true, true])
  expect(beside.reaches([OUTSIDE, "10.20.0.100"])).toEqual([false, false])
  expect(network.check(inside, result)).toMatchObject(QUIET)
})

test.each([undefined, 4094])("vlanId %s is what the kernel gets, and what CHECK asks for", (vlanId) => {
  using node = new Node()
  trunk(node)
  const pod = node.pod()
  const network = vlan(node, { vlanId, ipam: fixed("10.20.0.7/24") })
  const result = network.connect(pod)
  expect(pod.link("eth0")?.linkinfo?.info_data?.["id"]).toBe(vlanId ?? 0)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(network.check(pod, result, { config: { vlanId: 7 } }).error).toMatchObject({
    code: 104,
    msg: `VLAN of eth0 is ${vlanId ?? 0}, not 7`,
  })
})

test("mtu is the master's unless given, and at most that", () => {
  using node = new Node()
  trunk(node)
  node.ip("link", "set", "uplink", "mtu", "1400")
  const add = (config: Config) => {
    const pod = node.pod()
    const { error } = vlan(node, config).add(pod)
    return error?.msg ?? pod.link("eth0")?.mtu
  }
  expect([add({ vlanId: 1 }), add({ vlanId: 2, mtu: 1300 })]).toEqual([1400, 1300])
  expect(add({ vlanId: 3, mtu: 1401 })).toContain("invalid MTU 1401, must be [0, master MTU(1400)]")
})

test("without `ipam` it is a layer 2 network, refused at 0.2.0; CHECK is refused below 0.4.0", () => expectLayer2(VLAN))

test("STATUS says what is missing", () => {
  using node = new Node()
  const status = (config: Config) => vlan(node, config).ask("STATUS", undefined)
  expect(status({}).error).toMatchObject({ code: 50, msg: expect.stringContaining('no interface "uplink"') })
  trunk(node)
  expect(status({ ipam: ofLan(node) })).toMatchObject(QUIET)
  expect(status({ master: "eth9", linkInContainer: true })).toMatchObject(QUIET)
  expect([status({ vlanId: 4095 }).error?.code, status({ master: "" }).error?.code]).toEqual([50, 50])
  node.ip("link", "set", "uplink", "down")
  expect(status({}).error).toMatchObject({ code: 50, msg: expect.stringContaining('"uplink" is down') })
})
