import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, leases } from "../bridge/network.ts"
import { dualOfLan, OUTSIDE, OUTSIDE6, ofLan, plugIn } from "../macvlan/network.ts"
import { expectLayer2 } from "../pod-link.ts"
import { fixed, IPVLAN, ipvlan, PREVIOUS } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

describe.each([false, true])("with linkInContainer %s", (linkInContainer) => {
  const start = (config: (node: Node) => Config) => {
    const node = new Node()
    const pod = node.pod()
    plugIn(node, linkInContainer ? pod : node)
    return { node, pod, network: ipvlan(node, { linkInContainer, ...config(node) }) }
  }

  test("a network with host-local is added, checked and removed", () => {
    const cniVersion = linkInContainer ? "1.1.0" : "0.4.0"
    const { node, pod, network } = start((made) => ({ cniVersion, ipam: ofLan(made) }))
    using _node = node
    const result = network.connect(pod)
    const master = (linkInContainer ? pod : node).link("uplink")
    expect(result.interfaces).toEqual([{ name: "eth0", mac: master?.address, sandbox: pod.path }])
    expect(result.ips?.[0]).toMatchObject({ address: "10.20.0.100/24", gateway: OUTSIDE, interface: 0 })
    const on = linkInContainer ? { link: "uplink" } : { link_index: master?.ifindex }
    expect(pod.link("eth0")).toMatchObject({ ...on, linkinfo: { info_kind: "ipvlan" } })
    expect([pod.addresses("eth0"), pod.pings(OUTSIDE)]).toEqual([["10.20.0.100/24"], true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
    expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
  })

  test("without `master` the interface of the default route is it", () => {
    const { node, pod, network } = start(() => ({ master: undefined, ipam: fixed("10.20.0.7/24") }))
    using _node = node
    expect(network.add(pod).error).toMatchObject({ code: 7, msg: expect.stringContaining("no default route") })
    const side = linkInContainer ? pod : node
    side.ip("addr", "add", "10.20.0.1/24", "dev", "uplink")
    side.ip("route", "add", "default", "via", OUTSIDE)
    const result = network.connect(pod)
    expect(pod.link("eth0")?.linkinfo?.info_kind).toBe("ipvlan")
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
  })

  test("in a chain it has the previous result's interface for its master, and its addresses and routes", () => {
    const { node, pod, network } = start(() => ({ master: undefined, prevResult: PREVIOUS, dns: { domain: "a.b" } }))
    using _node = node
    const result = network.connect(pod)
    const { ips, routes } = PREVIOUS
    expect(result).toMatchObject({ interfaces: [{ name: "eth0" }], ips, routes, dns: { domain: "a.b" } })
    expect(pod.addresses("eth0")).toEqual(["10.20.0.40/24", "fd20::40/64"])
    expect(pod.ip("route", "show", "default")[0]).toMatchObject({ gateway: OUTSIDE, dev: "eth0" })
    expect([pod.pings(OUTSIDE), pod.pings(OUTSIDE6)]).toEqual([true, true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
    expect(pod.link("eth0")).toBeUndefined()
  })
})

test("in a chain with an `ipam` of its own it has the addresses of that, on the previous result's interface", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const result = ipvlan(node, { master: "", prevResult: PREVIOUS, ipam: fixed("10.20.0.7/24") }).connect(pod)
  expect([result.ips?.length, result.routes, pod.addresses("eth0")]).toEqual([1, undefined, ["10.20.0.7/24"]])
})

test("a previous result with no interface or two is no master, and is no matter if one is named", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const [only] = PREVIOUS.interfaces
  for (const interfaces of [[], [only, { name: "other" }], [{ name: "" }]]) {
    const network = ipvlan(node, { master: undefined, prevResult: { ...PREVIOUS, interfaces, ips: [] } })
    expect(network.add(pod).error).toMatchObject({ code: 7, msg: expect.stringContaining("chained master failure") })
  }
  ipvlan(node, { prevResult: { ...PREVIOUS, interfaces: [], ips: [] } }).connect(pod)
  expect(pod.link("eth0")?.link_index).toBe(node.link("uplink")?.ifindex)
})

test.each(["l3", "l3s"])("mode %s is what the kernel gets, and what CHECK asks for", (mode) => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const network = ipvlan(node, { mode, ipam: fixed("10.20.0.7/24", "fd20::7/64") })
  const result = network.connect(pod)
  expect(pod.link("eth0")?.linkinfo?.info_data?.["mode"]).toBe(mode)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(network.check(pod, result, { config: { mode: "l2" } }).error).toMatchObject({
    code: 104,
    msg: `ipvlan mode of eth0 is ${mode}, not l2`,
  })
})

test("dual stack: two pods with the master's MAC address reach each other and the LAN, duplicates looked for", () => {
  using node = new Node()
  plugIn(node)
  const network = ipvlan(node, { ipam: dualOfLan(node) })
  const [first, second] = [node.pod(), node.pod()]
  const [one, two] = [network.connect(first), network.connect(second)]
  expect(one.interfaces?.[0]?.mac).toBe(two.interfaces?.[0]?.mac)
  expect(second.addresses("eth0")).toEqual(["10.20.0.101/24", "fd20::101/64"])
  for (const address of [OUTSIDE, OUTSIDE6, "10.20.0.101", "fd20::101"]) expect(first.pings(address)).toBe(true)
  const [local1, local2] = [first, second].map((pod) => {
    const link = pod.ip("addr", "show").find(({ ifname }) => ifname === "eth0")
    return link?.addr_info?.find(({ scope }) => scope === "link")?.local
  })
  expect(local1).toMatch(/^fe80:/)
  expect(local2).not.toBe(local1)
  expect([network.check(first, one), network.check(second, two)]).toMatchObject([QUIET, QUIET])
})

test("an IPv6 address that somebody on the LAN has is refused, and nothing is left", () => {
  using node = new Node()
  const outside = plugIn(node)
  outside.ip("addr", "add", "fd20::100/64", "dev", "far", "nodad")
  const pod = node.pod()
  const { error } = ipvlan(node, { ipam: dualOfLan(node) }).add(pod)
  expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("duplicate address detection failed") })
  expect([pod.ip("link", "show").length, leases(node)]).toEqual([1, []])
})

test("mtu is the master's unless given", () => {
  using node = new Node()
  plugIn(node)
  node.ip("link", "set", "uplink", "mtu", "1400")
  const mtu = (config: Config) => {
    const pod = node.pod()
    ipvlan(node, config).connect(pod)
    return pod.link("eth0")?.mtu
  }
  expect([mtu({}), mtu({ mtu: 1300 })]).toEqual([1400, 1300])
})

test("without `ipam` and previous result it is a layer 2 network, refused at 0.2.0; CHECK is refused below 0.4.0", () =>
  expectLayer2(IPVLAN))

test("STATUS says what is missing, and asks for no master in a chain", () => {
  using node = new Node()
  const status = (config: Config) => ipvlan(node, config).ask("STATUS", undefined)
  expect(status({}).error).toMatchObject({ code: 50, msg: expect.stringContaining('no interface "uplink"') })
  plugIn(node)
  expect(status({ ipam: ofLan(node) })).toMatchObject(QUIET)
  expect(status({ master: undefined })).toMatchObject(QUIET)
  expect(status({ master: "eth9", linkInContainer: true })).toMatchObject(QUIET)
  expect(status({ mode: "x" }).error?.code).toBe(50)
})
