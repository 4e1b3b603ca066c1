import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { install } from "../../lab/foreign.ts"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leases, Network, routes, V4, V6 } from "./network.ts"

interface Case {
  readonly subnets: readonly string[]
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
  readonly defaults: { readonly "-4": readonly string[]; readonly "-6": readonly string[] }
}

const CASES: Readonly<Record<string, Case>> = {
  IPv4: {
    subnets: [V4],
    addresses: ["10.244.1.2/24"],
    gateways: ["10.244.1.1/24"],
    defaults: { "-4": ["default via 10.244.1.1"], "-6": [] },
  },
  IPv6: {
    subnets: [V6],
    addresses: ["fd00:10:244:1::2/64"],
    gateways: ["fd00:10:244:1::1/64"],
    defaults: { "-4": [], "-6": ["default via fd00:10:244:1::1"] },
  },
  "dual stack": {
    subnets: DUAL,
    addresses: ["10.244.1.2/24", "fd00:10:244:1::2/64"],
    gateways: ["10.244.1.1/24", "fd00:10:244:1::1/64"],
    defaults: { "-4": ["default via 10.244.1.1"], "-6": ["default via fd00:10:244:1::1"] },
  },
  "one IPv4 and two IPv6 subnets": {
    subnets: [V4, V6, "fd00:10:244:2::/64"],
    addresses: ["10.244.1.2/24", "fd00:10:244:1::2/64", "fd00:10:244:2::2/64"],
    gateways: ["10.244.1.1/24", "fd00:10:244:1::1/64", "fd00:10:244:2::1/64"],
    defaults: { "-4": ["default via 10.244.1.1"], "-6": ["default via fd00:10:244:1::1"] },
  },
}

describe.each(Object.entries(CASES))("isDefaultGateway with %s", (_, { subnets, addresses, gateways, defaults }) => {
  test("gives address, gateway and default route, checks out, and is removed with its lease", () => {
    using node = new Node()
    const network = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, subnets) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(result.ips).toEqual(
      addresses.map((address, n) => ({ address, gateway: gateways[n]?.replace(/\/.*/, ""), interface: 2 })),
    )
    expect(sorted(pod.addresses("eth0"))).toEqual(sorted(addresses))
    expect(sorted(node.addresses("cni0"))).toEqual(sorted(gateways))
    expect({ "-4": routes(pod, "-4"), "-6": routes(pod, "-6") }).toEqual(defaults)
    for (const { gateway = "" } of result.ips ?? []) expect(pod.pings(gateway), gateway).toBe(true)
    expect(network.check(pod, result)).toMatchObject({ exitCode: 0, stdout: "" })
    for (const time of ["first", "second"]) {
      expect(network.del(pod), time).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
      expect([pod.link("eth0"), leases(node)], time).toEqual([undefined, []])
    }
    expect(sorted(node.addresses("cni0"))).toEqual(sorted(gateways))
  })
})

test("pods reach each other and the node by IPv4 and IPv6", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) })
  const [one, two] = [node.pod(), node.pod()]
  network.connect(one)
  network.connect(two)
  for (const address of ["10.244.1.3", "fd00:10:244:1::3"]) expect(one.pings(address), address).toBe(true)
  for (const address of ["10.244.1.2", "fd00:10:244:1::2"]) expect(node.pings(address), address).toBe(true)
})

test("without isGateway the bridge has no address and the pod's address no gateway but IPAM's", () => {
  using node = new Node()
  const network = new Network(node, { ipam: hostLocal(node) })
  const pod = node.pod()
  expect(network.connect(pod).ips).toEqual([{ address: "10.244.1.2/24", gateway: "10.244.1.1", interface: 2 }])
  expect(node.addresses("cni0")).toEqual([])
  expect(routes(pod, "-4")).toEqual([])
  expect(node.sysctl("net/ipv4/ip_forward")).toBe("0")
})

test("a gateway that IPAM names is used as it is", () => {
  using node = new Node()
  const ipam = hostLocal(node, [], { ranges: [[{ subnet: V4, gateway: "10.244.1.254" }]] })
  const pod = node.pod()
  const { ips, routes: listed } = new Network(node, { isDefaultGateway: true, ipam }).connect(pod)
  expect(ips?.[0]?.gateway).toBe("10.244.1.254")
  expect(listed).toEqual([{ dst: "0.0.0.0/0", gw: "10.244.1.254" }])
  expect(node.addresses("cni0")).toEqual(["10.244.1.254/24"])
})

describe("routes of IPAM", () => {
  test.each<[string, Config[], Partial<Record<"-4" | "-6", string[]>>]>([
    ["by a gateway of their own", [{ dst: "10.5.0.0/16", gw: "10.244.1.9" }], { "-4": ["10.5.0.0/16 via 10.244.1.9"] }],
    ["by the address's gateway", [{ dst: "10.5.0.0/16" }], { "-4": ["10.5.0.0/16 via 10.244.1.1"] }],
    ["for IPv6", [{ dst: "fd05::/64" }], { "-6": ["fd05::/64 via fd00:10:244:1::1"] }],
    [
      "for the same destination twice",
      [
        { dst: "10.5.0.0/16", gw: "10.244.1.8" },
        { dst: "10.5.0.0/16", gw: "10.244.1.9" },
      ],
      { "-4": ["10.5.0.0/16 via 10.244.1.9", "10.5.0.0/16 via 10.244.1.8"] },
    ],
  ])("are added in the pod: %s", (_, listed, expected) => {
    using node = new Node()
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL, { routes: listed }) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect({ "-4": routes(pod, "-4"), "-6": routes(pod, "-6") }).toEqual({ "-4": [], "-6": [], ...expected })
    expect(result.routes).toEqual(listed)
    expect(network.check(pod, result).exitCode).toBe(0)
  })

  test("to one IPv6 destination by two gateways become one route with two next hops", () => {
    using node = new Node()
    const hops = ["fd00:10:244:1::8", "fd00:10:244:1::9"]
    const listed = hops.map((gw) => ({ dst: "fd05::/64", gw }))
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, [V6], { routes: listed }) })
    const pod = node.pod()
    const result = network.connect(pod)
    const [route] = pod.ip("-6", "route", "show", "fd05::/64")
    expect(route?.["nexthops"]).toMatchObject(hops.map((gateway) => ({ gateway })))
    expect(network.check(pod, result).exitCode).toBe(0)
  })

  test("keep priority, table, scope, mtu and advmss (the reference ignores the last two)", () => {
    using node = new Node()
    const listed = [
      { dst: "10.5.0.0/16", priority: 77 },
      { dst: "10.6.0.0/16", table: 100 },
      { dst: "10.7.0.0/16", mtu: 1300, advmss: 1200 },
    ]
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, [V4], { routes: listed }) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(pod.ip("route", "show", "10.5.0.0/16")).toMatchObject([{ metric: 77 }])
    expect(pod.ip("route", "show", "table", "100")).toMatchObject([{ dst: "10.6.0.0/16", gateway: "10.244.1.1" }])
    expect(pod.ip("route", "show", "10.7.0.0/16")).toMatchObject([{ metrics: [{ mtu: 1300, advmss: 1200 }] }])
    expect(result.routes).toEqual(listed)
    expect(network.check(pod, result).exitCode).toBe(0)
  })

  test("of link scope are on-link where there is no gateway", () => {
    using node = new Node()
    const ips = [{ address: "10.244.1.7/24" }]
    const network = new Network(node, { ipam: scripted(node, { ips, routes: [{ dst: "10.8.0.0/16", scope: 253 }] }) })
    const pod = node.pod()
    network.connect(pod, { path: join(node.dir, "bin") })
    expect(pod.ip("route", "show", "10.8.0.0/16")).toMatchObject([{ scope: "link", dev: "eth0" }])
  })
})

describe("a default route of IPAM", () => {
  test.each([
    ["0.0.0.0/0", "-4"],
    ["::/0", "-6"],
  ] as const)("without gateway goes by ours and is not added twice (the reference's ADD fails): %s", (dst, family) => {
    using node = new Node()
    const ipam = hostLocal(node, DUAL, { routes: [{ dst }] })
    const network = new Network(node, { isDefaultGateway: true, ipam })
    expect(network.as("reference", { bridge: "cni1", name: "go" }).add(node.pod()).error?.msg).toContain("exists")
    const pod = node.pod()
    const result = network.connect(pod)
    expect(result.routes).toHaveLength(2)
    expect(routes(pod, family)).toHaveLength(1)
    expect(pod.pings("10.244.1.1")).toBe(true)
    expect(network.check(pod, result).exitCode).toBe(0)
  })

  test("with a gateway of its own is kept instead of ours", () => {
    using node = new Node()
    const ipam = hostLocal(node, [V4], { routes: [{ dst: "0.0.0.0/0", gw: "10.244.1.9" }] })
    const pod = node.pod()
    new Network(node, { isDefaultGateway: true, ipam }).connect(pod)
    expect(routes(pod, "-4")).toEqual(["default via 10.244.1.9"])
  })
})

describe("dns", () => {
  const resolvConf = "nameserver 10.0.0.10\nsearch svc.local local\noptions ndots:5\ndomain local\n"
  const fromIpam = {
    nameservers: ["10.0.0.10"],
    domain: "local",
    search: ["svc.local", "local"],
    options: ["ndots:5"],
  }

  test.each<[string, Config | undefined, Config | undefined]>([
    ["IPAM's resolvConf reaches the result", undefined, fromIpam],
    ["IPAM's is kept beside an empty object", {}, fromIpam],
    ["the config's replaces IPAM's as a whole", { nameservers: ["1.1.1.1"] }, { nameservers: ["1.1.1.1"] }],
    ["even an empty list in the config replaces IPAM's", { search: [] }, undefined],
  ])("%s", (_, dns, expected) => {
    using node = new Node()
    writeFileSync(join(node.dir, "resolv.conf"), resolvConf)
    const ipam = hostLocal(node, [V4], { resolvConf: join(node.dir, "resolv.conf") })
    const network = new Network(node, { ipam, ...(dns && { dns }) })
    expect(network.connect(node.pod()).dns).toEqual(expected)
  })
})

describe("another IPAM plugin", () => {
  test("is executed with our config and environment, and every command reaches it", () => {
    using node = new Node()
    const network = new Network(node, { ipam: scripted(node, { ips: [{ address: "10.244.1.7/24" }] }) })
    const more = { path: join(node.dir, "bin") }
    const pod = node.pod()
    const result = network.connect(pod, more)
    expect(pod.addresses("eth0")).toEqual(["10.244.1.7/24"])
    expect(network.check(pod, result, more).exitCode).toBe(0)
    expect(network.ask("STATUS", undefined, more).exitCode).toBe(0)
    expect(network.gc([pod], more).exitCode).toBe(0)
    expect(network.del(pod, more).exitCode).toBe(0)
    expect(asked(node)).toEqual(["ADD", "CHECK", "STATUS", "GC", "DEL"])
  })

  test.each([-1, 0, 99, undefined])("may say interface %s: the address is the pod's", (index) => {
    using node = new Node()
    const ips = [{ address: "10.244.1.7/24", interface: index }]
    const network = new Network(node, { ipam: scripted(node, { ips }) })
    const { ips: printed } = network.connect(node.pod(), { path: join(node.dir, "bin") })
    expect(printed).toEqual([{ address: "10.244.1.7/24", interface: 2 }])
  })

  test("without addresses is an error, and is told DEL", () => {
    using node = new Node()
    const network = new Network(node, { ipam: scripted(node, {}) })
    const { error } = network.add(node.pod(), { path: join(node.dir, "bin") })
    expect(error).toMatchObject({ code: 105, msg: "IPAM plugin returned missing IP config" })
    expect(asked(node)).toEqual(["ADD", "DEL"])
    expect(node.link("cni0")).toBeUndefined()
  })
})

/** An IPAM plugin in `<node.dir>/bin` that answers ADD with `result` and writes down what it was asked. */
function scripted(node: Node, result: object): Config {
  const answer = JSON.stringify({ cniVersion: "1.1.0", ...result })
  const script = `echo $CNI_COMMAND >>${node.dir}/asked\n[ $CNI_COMMAND != ADD ] || echo '${answer}'`
  install(node, "bin", script, "scripted")
  return { type: "scripted" }
}

function asked(node: Node): string[] {
  return node.run("cat", join(node.dir, "asked")).stdout.trim().split("\n")
}

function sorted(list: readonly string[]): string[] {
  return [...list].sort()
}
