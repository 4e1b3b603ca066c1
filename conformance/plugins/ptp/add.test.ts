import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leases, routes, V4, V6 } from "../bridge/network.ts"
import { MASQUERADE, masqueradeRules, ptp, veths } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

test.each(["0.4.0", "1.0.0", "1.1.0"])(
  "at %s a pod is added, pings its gateway, is checked and removed, and its link with it",
  (cniVersion) => {
    using node = new Node()
    const network = ptp(node, { cniVersion, mtu: 5000 })
    const pod = node.pod()
    if (cniVersion === "1.1.0") expect(network.ask("STATUS", undefined)).toMatchObject(QUIET)
    const result = network.connect(pod)
    const [veth] = veths(node)
    expect(result.interfaces).toEqual([
      { name: veth?.ifname, mac: veth?.address },
      { name: "eth0", mac: pod.link("eth0")?.address, sandbox: pod.path },
    ])
    expect([veth?.mtu, pod.link("eth0")?.mtu]).toEqual([5000, 5000])
    expect(result.ips?.[0]).toMatchObject({ address: "10.244.1.2/24", gateway: "10.244.1.1", interface: 1 })
    expect(pod.pings("10.244.1.1")).toBe(true)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
    expect([veths(node), pod.link("eth0"), leases(node)]).toEqual([[], undefined, []])
  },
)

test("dual stack with more routes, one to a single host; both families work at once, the node forwards them", () => {
  using node = new Node()
  const more = [
    { dst: "0.0.0.0/0" },
    { dst: "::/0" },
    { dst: "192.168.0.1/32" },
    { dst: "10.5.0.0/16", gw: "10.244.1.1" },
  ]
  const network = ptp(node, { ipam: hostLocal(node, [V4, "fd00:10:244:1::/66"], { routes: more }) })
  const [one, two] = [node.pod(), node.pod()]
  const result = network.connect(one)
  network.connect(two)
  for (const gateway of ["10.244.1.1", "fd00:10:244:1::1"]) expect(one.pings(gateway), gateway).toBe(true)
  for (const other of ["10.244.1.3", "fd00:10:244:1::3"]) expect(one.pings(other), other).toBe(true)
  for (const pod of ["10.244.1.2", "fd00:10:244:1::2"]) expect(node.pings(pod), pod).toBe(true)
  expect([...routes(one, "-4")].sort()).toEqual([
    "10.244.1.0/24 via 10.244.1.1",
    "10.244.1.1",
    "10.5.0.0/16 via 10.244.1.1",
    "192.168.0.1 via 10.244.1.1",
    "default via 10.244.1.1",
  ])
  expect([node.sysctl("net/ipv4/ip_forward"), node.sysctl("net/ipv6/conf/all/forwarding")]).toEqual(["1", "1"])
  expect(network.check(one, result)).toMatchObject(QUIET)
})

describe("DNS settings", () => {
  const resolvConf = { nameservers: ["10.0.0.10"], search: ["svc.local"] }
  const static4 = { type: "static", addresses: [{ address: "10.244.1.9/24", gateway: "10.244.1.1" }], dns: resolvConf }

  const cases: [string, Config | undefined, Config | undefined][] = [
    ["of IPAM are kept where the configuration has none", undefined, resolvConf],
    ["of IPAM are kept beside an empty dns", {}, resolvConf],
    ["are replaced by nameservers", { nameservers: ["1.1.1.1"] }, { nameservers: ["1.1.1.1"] }],
    ["are replaced by a domain", { domain: "a" }, { domain: "a" }],
    ["are replaced by search", { search: ["a.b"] }, { search: ["a.b"] }],
    ["are replaced by options", { options: ["ndots:2"] }, { options: ["ndots:2"] }],
    ["are replaced by empty lists", { nameservers: [], search: [], options: [] }, undefined],
  ]

  test.each(cases)("%s", (_, dns, expected) => {
    using node = new Node()
    const config = { ipam: static4, ...(dns && { dns }) }
    expect(ptp(node, config).connect(node.pod()).dns).toEqual(expected)
    expect(ptp(node, { ...config, name: "theirs" }, "reference").connect(node.pod()).dns).toEqual(expected)
  })
})

describe("what the reference cannot connect:", () => {
  const single = [
    { address: "10.244.1.7/32", gateway: "10.244.9.1" },
    { address: "fd00::7/128", gateway: "fd09::1" },
  ]
  const bare = [{ address: "10.244.1.7/24" }, { address: "fd00::7/64" }]

  test("single addresses (/32, /128), each with a gateway of another network", () => {
    using node = new Node()
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]
    const network = ptp(node, { ipam: { type: "static", addresses: single, routes } })
    const pod = node.pod()
    const result = network.connect(pod)
    expect([pod.pings("10.244.9.1"), pod.pings("fd09::1"), node.pings("10.244.1.7")]).toEqual([true, true, true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.as("reference", { name: "theirs" }).add(node.pod()).exitCode).toBe(1)
  })

  test("addresses without gateway, whose gateway is then the node's link-local address", () => {
    using node = new Node()
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]
    const network = ptp(node, { ipam: { type: "static", addresses: bare, routes } })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(result.ips?.map(({ gateway }) => gateway)).toEqual(["169.254.1.1", "fe80::1"])
    node.ip("addr", "add", "10.250.0.1/32", "dev", "lo")
    node.ip("addr", "add", "fd25::1/128", "dev", "lo")
    expect([pod.pings("10.250.0.1"), pod.pings("fd25::1"), node.pings("fd00::7")]).toEqual([true, true, true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.as("reference", { name: "theirs" }).add(node.pod()).exitCode).toBe(1)
  })

  test("two addresses of one network", () => {
    using node = new Node()
    const addresses = ["10.244.1.7/24", "10.244.1.8/24"].map((address) => ({ address, gateway: "10.244.1.1" }))
    const network = ptp(node, { ipam: { type: "static", addresses } })
    const pod = node.pod()
    const result = network.connect(pod)
    expect([node.pings("10.244.1.7"), node.pings("10.244.1.8"), pod.pings("10.244.1.1")]).toEqual([true, true, true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.as("reference", { name: "theirs" }).add(node.pod()).exitCode).toBe(1)
  })
})

test("an address that another pod has is refused (the reference answers success, and nobody reaches the pod)", () => {
  using node = new Node()
  const ipam = { type: "static", addresses: [{ address: "10.244.1.7/24", gateway: "10.244.1.1" }] }
  const [first, second] = [node.pod(), node.pod()]
  const network = ptp(node, { ipam })
  network.connect(first)
  expect(network.add(second).error).toMatchObject({
    code: 102,
    msg: "the node has a route to 10.244.1.7/32 already",
    details: expect.stringContaining("another pod may have this address"),
  })
  expect([veths(node).length, second.link("eth0")]).toEqual([1, undefined])
  expect(network.as("reference").add(second).exitCode).toBe(0)
})

describe("ipMasq", () => {
  const byDefault = { routes: [{ dst: "0.0.0.0/0" }] }

  test.each([["nftables"], [undefined]])("with the backend %s: rules per address, which go with the pod", (backend) => {
    using node = new Node()
    const network = ptp(node, { ipMasq: true, ipMasqBackend: backend, ipam: hostLocal(node, DUAL, byDefault) })
    const [pod, other] = [node.pod(), node.pod()]
    const result = network.connect(pod)
    network.connect(other)
    expect(masqueradeRules(node)).toHaveLength(4)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    const outside = node.pod()
    node.ip("link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", outside.name)
    node.ip("addr", "add", "10.77.0.1/24", "dev", "wan")
    node.ip("link", "set", "wan", "up")
    outside.ip("addr", "add", "10.77.0.2/24", "dev", "wan")
    outside.ip("link", "set", "wan", "up")
    expect(pod.pings("10.77.0.2")).toBe(true) // which knows no route to pods
    expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
    expect(masqueradeRules(node).map((rule) => rule.includes("10.244.1.3") || rule.includes("::3"))).toEqual([
      true,
      true,
    ])
    node.run("nft", "flush", "chain", ...MASQUERADE)
    expect(network.check(other, result).exitCode).toBe(1)
    expect(network.del(other)).toMatchObject(QUIET)
    expect(masqueradeRules(node)).toEqual([])
  })

  test("of either implementation is checked and removed by the other", () => {
    using node = new Node()
    const config = { ipMasq: true, ipMasqBackend: "nftables", ipam: hostLocal(node, DUAL) }
    for (const [first, second] of [
      ["ours", "reference"],
      ["reference", "ours"],
    ] as const) {
      const network = ptp(node, config, first)
      const pod = node.pod()
      const prevResult = network.connect(pod)
      expect(masqueradeRules(node)).toHaveLength(2)
      expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
      expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
      expect([masqueradeRules(node), veths(node), leases(node)]).toEqual([[], [], []])
    }
  })
})

test("STATUS fails where no ADD could succeed, as without ipam, and not because every address is leased", () => {
  using node = new Node()
  const status = (config: Config) => ptp(node, config).ask("STATUS", undefined)
  expect(status({ ipam: undefined }).error).toMatchObject({ code: 50, msg: expect.stringContaining("ipam.type") })
  expect(status({ ipam: { type: "dhcp9" } }).error?.code).toBe(50)
  const tiny = ptp(node, { ipam: hostLocal(node, ["10.9.0.0/30"]) })
  tiny.connect(node.pod())
  expect(tiny.add(node.pod()).error?.code).toBe(103)
  expect(tiny.ask("STATUS", undefined)).toMatchObject(QUIET)
})

test("IPv6 alone works on a node, and is usable at once in both directions", () => {
  using node = new Node()
  const network = ptp(node, { ipam: hostLocal(node, [V6]) })
  const [one, two] = [node.pod(), node.pod()]
  network.connect(one)
  network.connect(two)
  expect([node.pings("fd00:10:244:1::2"), one.pings("fd00:10:244:1::3")]).toEqual([true, true])
})

test("pods that come and go at once get an address, a link and rules each, and leave nothing", async () => {
  using node = new Node()
  const network = ptp(node, { ipMasq: true, ipam: hostLocal(node, DUAL) })
  const pods = Array.from({ length: 8 }, () => node.pod())
  const all = (command: string) =>
    Promise.all(pods.map((netns) => node.callAsync("ptp", { command, netns, config: network.config })))
  expect((await all("ADD")).map(({ exitCode }) => exitCode)).toEqual(pods.map(() => 0))
  expect([new Set(leases(node)).size, veths(node).length, masqueradeRules(node).length]).toEqual([16, 8, 16])
  for (const pod of pods) expect(pod.pings("10.244.1.1"), pod.name).toBe(true)
  expect((await all("DEL")).map(({ exitCode }) => exitCode)).toEqual(pods.map(() => 0))
  expect([leases(node), veths(node), masqueradeRules(node)]).toEqual([[], [], []])
})
