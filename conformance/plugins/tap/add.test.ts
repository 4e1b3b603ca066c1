import { expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leases, routes } from "../bridge/network.ts"
import { expectMacOrder } from "../pod-link.ts"
import { TAP, tap } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

test.each(["0.4.0", "1.0.0", "1.1.0"])("a layer 3 network is added, checked and removed at %s", (cniVersion) => {
  using node = new Node()
  const pod = node.pod()
  const network = tap(node, { cniVersion, ipam: hostLocal(node) })
  const result = network.connect(pod)
  expect(result.interfaces).toEqual([{ name: "eth0", mac: pod.link("eth0")?.address, sandbox: pod.path }])
  expect(result.ips?.[0]).toMatchObject({ address: "10.244.1.2/24", gateway: "10.244.1.1", interface: 0 })
  expect(pod.link("eth0")?.linkinfo).toMatchObject({ info_kind: "tun", info_data: { type: "tap", persist: true } })
  expect(pod.addresses("eth0")).toEqual(["10.244.1.2/24"])
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
  expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
})

test("a layer 2 network is up and has no address", () => {
  using node = new Node()
  const pod = node.pod()
  const network = tap(node)
  const result = network.connect(pod)
  expect(result.ips).toBeUndefined()
  expect([pod.link("eth0")?.flags?.includes("UP"), pod.addresses("eth0")]).toEqual([true, []])
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(pod.link("eth0")).toBeUndefined()
})

test("owner, group and multiQueue are the tap's, and what CHECK asks for", () => {
  using node = new Node()
  const look = (config: Config) => {
    const pod = node.pod()
    const network = tap(node, config)
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    const { user, group, multi_queue } = pod.link("eth0")?.linkinfo?.info_data ?? {}
    const others = [{ owner: 4_000_000_001 }, { group: 4_000_000_001 }, { multiQueue: !config["multiQueue"] }]
    const codes = others.map((other) => network.check(pod, result, { config: other }).error)
    expect(codes).toMatchObject([
      { code: 104, msg: expect.stringContaining("owner of eth0 is ") },
      { code: 104, msg: expect.stringContaining("group of eth0 is ") },
      { code: 104, msg: expect.stringContaining("multiQueue of eth0 is ") },
    ])
    return [user, group, multi_queue]
  }
  expect(look({})).toEqual([undefined, undefined, false])
  expect(look({ owner: 4_000_000_000 })).toEqual([4_000_000_000, undefined, false])
  expect(look({ group: 4_000_000_000, multiQueue: true })).toEqual([undefined, 4_000_000_000, true])
  expect(look({ owner: 4_000_000_000, group: 4_294_967_294 })).toEqual([4_000_000_000, 4_294_967_294, false])
  expect(look({ owner: 0, group: 0, multiQueue: true })).toEqual(["root", "root", true])
})

test("mtu is the kernel's unless given", () => {
  using node = new Node()
  const look = (config: Config) => {
    const pod = node.pod()
    tap(node, config).connect(pod)
    return pod.link("eth0")?.mtu
  }
  expect([look({}), look({ mtu: 0 }), look({ mtu: 1400 })]).toEqual([1500, 1500, 1400])
})

test("the MAC address is runtimeConfig's before CNI_ARGS' before the configuration's; args.cni.mac does not count", () =>
  expectMacOrder(TAP))

test("with `bridge` it is a port of the pod's bridge of that name, until DEL", () => {
  using node = new Node()
  const pod = node.pod()
  node.ip("link", "add", "br0", "type", "bridge") // the node's does not count
  const network = tap(node, { bridge: "br0" })
  expect(network.add(pod).error).toMatchObject({
    code: 7,
    msg: expect.stringContaining('no interface "br0" in the pod'),
  })
  pod.ip("link", "add", "br0", "type", "bridge")
  const result = network.connect(pod)
  expect(pod.link("eth0")?.master).toBe("br0")
  expect(network.check(pod, result)).toMatchObject(QUIET)
  pod.ip("link", "set", "eth0", "nomaster")
  expect(network.check(pod, result).error).toMatchObject({ code: 104, msg: "eth0 is not a port of br0" })
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(pod.ip("link", "show").map(({ ifname }) => ifname)).toEqual(["lo", "br0"])
})

test("routes go by the address's gateway; the result's dns is the configuration's", () => {
  using node = new Node()
  const pod = node.pod()
  const dns = { nameservers: ["10.0.0.10"] }
  const given = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.9" }]
  const result = tap(node, { dns, ipam: hostLocal(node, DUAL, { routes: given }) }).connect(pod)
  expect([result.dns, result.routes]).toEqual([dns, given])
  expect(routes(pod, "-4")).toEqual(["default via 10.244.1.1", "10.5.0.0/16 via 10.244.1.9"])
})

test("several interfaces of a pod, some with one owner, are apart", () => {
  using node = new Node()
  const pod = node.pod()
  const network = tap(node, { owner: 1, ipam: hostLocal(node) })
  const results = ["eth0", "net1"].map((ifname) => network.connect(pod, { ifname })) as [Result, Result]
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(pod.link("eth0")).toBeUndefined()
  expect(network.check(pod, results[1], { ifname: "net1" })).toMatchObject(QUIET)
})

test.each(["0.1.0", "0.2.0"])("a layer 2 network cannot be expressed at %s, and is refused", (cniVersion) => {
  using node = new Node()
  const pod = node.pod()
  expect(tap(node, { cniVersion }).add(pod).error?.code).toBe(1)
  expect(pod.ip("link", "show")).toHaveLength(1)
})

test("STATUS succeeds before any ADD, and says what is missing", () => {
  using node = new Node()
  const status = (config: Config) => tap(node, config).ask("STATUS", undefined)
  expect(status({ ipam: hostLocal(node) })).toMatchObject(QUIET)
  expect(status({ owner: "root" }).error?.code).toBe(50)
  expect(status({ mac: "x" }).error?.code).toBe(50)
  expect(status({ selinuxContext: "a:b:c:s0" }).error?.code).toBe(50)
})
