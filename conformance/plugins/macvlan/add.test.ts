import { describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { Node } from "../../lab/node.ts"
import { type Config, leases } from "../bridge/network.ts"
import { expectMacOrder } from "../pod-link.ts"
import { dualOfLan, MACVLAN, macvlan, OUTSIDE, OUTSIDE6, ofLan, plugIn } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const PLACES: [string, Config][] = [
  ["the node, linkInContainer absent", {}],
  ["the node, linkInContainer false", { linkInContainer: false }],
  ["the pod, linkInContainer true", { linkInContainer: true }],
]

describe.each(PLACES)("with its master on %s", (_, place) => {
  const start = (config: (node: Node) => Config) => {
    const node = new Node()
    const pod = node.pod()
    plugIn(node, place["linkInContainer"] ? pod : node)
    return { node, pod, network: macvlan(node, { ...place, ...config(node) }) }
  }

  test.each(["0.4.0", "1.0.0", "1.1.0"])("a layer 3 network is added, checked and removed at %s", (cniVersion) => {
    const { node, pod, network } = start((made) => ({ cniVersion, ipam: ofLan(made) }))
    using _node = node
    const result = network.connect(pod)
    expect(result.interfaces).toEqual([{ name: "eth0", mac: pod.link("eth0")?.address, sandbox: pod.path }])
    expect(result.ips?.[0]).toMatchObject({ address: "10.20.0.100/24", gateway: OUTSIDE, interface: 0 })
    expect(pod.link("eth0")?.linkinfo).toMatchObject({ info_kind: "macvlan", info_data: { mode: "bridge" } })
    expect(pod.addresses("eth0")).toEqual(["10.20.0.100/24"])
    expect(pod.pings(OUTSIDE)).toBe(true)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
    expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
  })

  test("a layer 2 network is up and has no address", () => {
    const { node, pod, network } = start(() => ({}))
    using _node = node
    const result = network.connect(pod)
    expect(result.ips).toBeUndefined()
    expect([pod.link("eth0")?.flags?.includes("UP"), pod.addresses("eth0")]).toEqual([true, []])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
    expect(pod.link("eth0")).toBeUndefined()
  })

  test("without `master` the interface of the default route is it", () => {
    const { node, pod, network } = start((made) => ({ master: undefined, ipam: ofLan(made) }))
    using _node = node
    const attachment = place["linkInContainer"] ? pod : node
    expect(network.add(pod).error).toMatchObject({ code: 7, msg: expect.stringContaining("no default route") })
    attachment.ip("addr", "add", "10.20.0.1/24", "dev", "uplink")
    attachment.ip("route", "add", "default", "via", OUTSIDE)
    const result = network.connect(pod)
    expect(pod.link("eth0")?.linkinfo?.info_kind).toBe("macvlan")
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
  })

  test("an interface of the pod's name that its master's side has is not in the way", () => {
    const { node, pod, network } = start(() => ({}))
    using _node = node
    if (!place["linkInContainer"]) node.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    expect(network.connect(pod).interfaces?.[0]?.name).toBe("eth0")
  })
})

test("without `master` an IPv6 default route serves too, and the one of least metric", () => {
  using node = new Node()
  plugIn(node)
  node.ip("link", "add", "slow", "type", "veth", "peer", "name", "far2")
  node.ip("link", "set", "slow", "up")
  node.ip("-6", "route", "add", "default", "dev", "slow", "metric", "500")
  node.ip("-6", "route", "add", "default", "dev", "uplink", "metric", "5")
  const pod = node.pod()
  macvlan(node, { master: undefined }).connect(pod)
  expect(pod.link("eth0")?.link_index).toBe(node.link("uplink")?.ifindex)
})

test.each(["bridge", "private", "vepa", "passthru"])(
  "mode %s is what the kernel gets, and what CHECK asks for",
  (mode) => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    const network = macvlan(node, { mode })
    const result = network.connect(pod)
    expect(pod.link("eth0")?.linkinfo?.info_data?.["mode"]).toBe(mode)
    expect(result.interfaces?.[0]?.mac).toBe(pod.link("eth0")?.address)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    const other = mode === "bridge" ? "vepa" : "bridge"
    expect(network.check(pod, result, { config: { mode: other } }).error).toMatchObject({
      code: 104,
      msg: `macvlan mode of eth0 is ${mode}, not ${other}`,
    })
  },
)

test("pods of one master reach each other in mode bridge, not in mode private", () => {
  using node = new Node()
  plugIn(node)
  const reach = (mode: string, last: number) => {
    const network = macvlan(node, { mode, ipam: ofLan(node) })
    const pods = [node.pod(), node.pod()] as const
    for (const pod of pods) network.connect(pod)
    return pods[0].pings(`10.20.0.${last}`)
  }
  expect([reach("bridge", 101), reach("private", 103)]).toEqual([true, false])
})

test("mtu is the master's unless given, bcqueuelen the kernel's", () => {
  using node = new Node()
  plugIn(node)
  node.ip("link", "set", "uplink", "mtu", "1400")
  const look = (config: Config) => {
    const pod = node.pod()
    macvlan(node, config).connect(pod)
    const { mtu, linkinfo } = pod.link("eth0") ?? {}
    return [mtu, linkinfo?.info_data?.["bcqueuelen"]]
  }
  const [, kernels] = look({})
  expect(look({})).toEqual([1400, kernels])
  expect(look({ mtu: 1300, bcqueuelen: 5000 })).toEqual([1300, 5000])
  expect(look({ mtu: 0, bcqueuelen: 0 })).toEqual([1400, kernels])
})

test("the MAC address is runtimeConfig's before CNI_ARGS' before the configuration's; args.cni.mac does not count", () =>
  expectMacOrder(MACVLAN))

test("dual stack: both addresses are usable when ADD returns, their duplicates looked for", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const network = macvlan(node, { ipam: dualOfLan(node) })
  const result = network.connect(pod)
  expect(pod.addresses("eth0")).toEqual(["10.20.0.100/24", "fd20::100/64"])
  expect([pod.pings(OUTSIDE), pod.pings(OUTSIDE6)]).toEqual([true, true])
  expect(network.check(pod, result)).toMatchObject(QUIET)
})

test("a master without carrier is no reason to wait: the IPv6 address is looked for by others once the cable is in", () => {
  using node = new Node()
  const outside = plugIn(node)
  outside.ip("link", "set", "far", "down")
  const pod = node.pod()
  const { config } = macvlan(node, { ipam: dualOfLan(node) })
  const { outcome, calls } = node.trace("macvlan", { command: "ADD", netns: pod, config })
  expect([outcome.exitCode, pod.addresses("eth0")]).toEqual([0, ["10.20.0.100/24", "fd20::100/64"]])
  expect(calls.filter(({ result }) => result.includes("EAGAIN"))).toEqual([]) // as a wait that was in vain ends
})

test("an IPv6 address that somebody on the LAN has is refused, and nothing is left", () => {
  using node = new Node()
  const outside = plugIn(node)
  outside.ip("addr", "add", "fd20::100/64", "dev", "far", "nodad")
  const pod = node.pod()
  const { error } = macvlan(node, { ipam: dualOfLan(node) }).add(pod)
  expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("duplicate address detection failed") })
  expect([pod.ip("link", "show").length, leases(node)]).toEqual([1, []])
})

test("routes go by the address's gateway; the result's dns is the configuration's", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const dns = { nameservers: ["10.0.0.10"] }
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }]
  const result = macvlan(node, { dns, ipam: ofLan(node, { routes }) }).connect(pod)
  expect([result.dns, result.routes]).toEqual([dns, routes])
  expect(pod.ip("route", "show", "default")[0]).toMatchObject({ gateway: OUTSIDE, dev: "eth0" })
})

test.each(["0.1.0", "0.2.0"])(
  "a layer 2 network cannot be expressed at %s, and is refused before anything is made",
  (cniVersion) => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    expect(macvlan(node, { cniVersion }).add(pod).error?.code).toBe(1)
    expect(pod.ip("link", "show")).toHaveLength(1)
  },
)

test("CHECK is refused below 0.4.0", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const network = macvlan(node, { cniVersion: "0.3.1" })
  expect(network.check(pod, network.connect(pod) as Result).error?.code).toBe(1)
})

test("STATUS succeeds before any ADD, and says what is missing", () => {
  using node = new Node()
  const status = (config: Config) => macvlan(node, config).ask("STATUS", undefined)
  expect(status({}).error).toMatchObject({ code: 50, msg: expect.stringContaining('no interface "uplink"') })
  plugIn(node)
  expect(status({ ipam: ofLan(node) })).toMatchObject(QUIET)
  expect(status({ master: undefined }).error?.code).toBe(50)
  expect(status({ master: "eth9", linkInContainer: true })).toMatchObject(QUIET)
  expect(status({ mode: "x" }).error?.code).toBe(50)
  expect(status({ mac: "x" }).error?.code).toBe(50)
})
