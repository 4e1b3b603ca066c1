import { setTimeout } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { DUAL, hostLocal, leases, Network, ports, settled, V6 } from "./network.ts"

test("IPv4 and IPv6 packets are forwarded, each only where a pod has such an address", () => {
  using node = new Node()
  const forwarding = () => [node.sysctl("net/ipv4/ip_forward"), node.sysctl("net/ipv6/conf/all/forwarding")]
  node.sysctl("net/ipv6/conf/all/forwarding", "0")
  new Network(node, { isGateway: true, ipam: hostLocal(node) }).connect(node.pod())
  expect(forwarding()).toEqual(["1", "0"])
  new Network(node, { name: "n6", bridge: "cni6", isGateway: true, ipam: hostLocal(node, [V6]) }).connect(node.pod())
  expect(forwarding()).toEqual(["1", "1"])
})

test("the bridge's MAC address is not the veth's and stays as ports come and go", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const [one, two] = [node.pod(), node.pod()]
  const seen: unknown[] = []
  const look = () => seen.push(node.link("cni0")?.address)
  const { interfaces = [] } = network.connect(one)
  look()
  network.connect(two)
  look()
  network.del(one)
  look()
  network.del(two)
  look()
  expect(new Set(seen)).toEqual(new Set([interfaces[0]?.mac]))
  expect(interfaces[0]?.mac).not.toBe(interfaces[1]?.mac)
})

test("the MAC address of a bridge without addresses stays too (the reference's follows the lowest port)", () => {
  using node = new Node()
  const network = new Network(node)
  network.connect(node.pod())
  const mac = node.link("cni0")?.address
  output(node.inside(["ip", "link", "add", "low", "address", "00:00:5e:00:00:01", "type", "veth", "peer", "high"]))
  output(node.inside(["ip", "link", "set", "low", "master", "cni0", "up"]))
  expect(node.link("cni0")?.address).toBe(mac)
})

describe("an address on the bridge already", () => {
  const OCCUPIED = {
    "another of the same IPv4 network": ["10.244.1.99/24", "10.244.1.0/24"],
    "one of another IPv4 network": ["10.99.0.1/16", "10.244.1.0/24"],
    "the gateway's, with another prefix length": ["10.244.1.1/16", "10.244.1.0/24"],
    "an IPv6 one inside the network": ["fd00:10:244:1::99/64", V6],
    "an IPv6 one whose network contains ours": ["fd00:10:244::99/48", V6],
    "an IPv6 one whose network is part of ours": ["fd00:10:244:1:8000::1/80", V6],
  } as const

  test.each(Object.entries(OCCUPIED))("stops ADD: %s", (_, [present, subnet]) => {
    using node = new Node()
    addBridge(node, present)
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, [subnet]) })
    const [pod, before] = [node.pod(), settled(node)]
    const outcome = network.add(pod)
    const gateway = subnet.replace(/0\/24$|\/64$/, (end) => (end === "/64" ? "1/64" : "1/24"))
    const msg = `"cni0" already has an IP address different from ${gateway}`
    expect(outcome).toMatchObject({ exitCode: 1, error: { code: 102, msg } })
    expect(outcome.error?.details).toContain(`it has ${present}; remove that address, or set "forceAddress": true`)
    expect(settled(node)).toEqual(before)
    expect(leases(node)).toEqual([])
  })

  test.each(Object.entries(OCCUPIED))("is replaced with forceAddress: %s", (_, [present, subnet]) => {
    using node = new Node()
    addBridge(node, present)
    const network = new Network(node, { isGateway: true, forceAddress: true, ipam: hostLocal(node, [subnet]) })
    const pod = node.pod()
    const { ips } = network.connect(pod)
    expect(node.addresses("cni0")).toEqual([`${ips?.[0]?.gateway}${subnet.replace(/.*\//, "/")}`])
    expect(pod.pings(ips?.[0]?.gateway ?? "")).toBe(true)
  })

  test.each([
    ["fd00:99::1/64", V6],
    ["10.99.0.1/16", V6],
    ["fd00:99::1/64", "10.244.1.0/24"],
  ])("stays where it is not in the way: %s beside the gateway of %s", (present, subnet) => {
    using node = new Node()
    addBridge(node, present)
    const network = new Network(node, { isGateway: true, forceAddress: true, ipam: hostLocal(node, [subnet]) })
    network.connect(node.pod())
    expect(node.addresses("cni0")).toHaveLength(2)
    expect(node.addresses("cni0")).toContain(present)
  })

  test("is left alone if it is the gateway's: a second network of the same subnet joins", () => {
    using node = new Node()
    const ipam = hostLocal(node, DUAL)
    new Network(node, { isGateway: true, ipam }).connect(node.pod())
    const before = node.ip("addr", "show", "dev", "cni0")
    new Network(node, { isGateway: true, ipam, forceAddress: true }).connect(node.pod())
    expect(node.ip("addr", "show", "dev", "cni0")).toEqual(before)
  })
})

test("two IPv4 ranges would need two gateways on one bridge: an error that names both, and nothing is left behind", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node, ["10.1.0.0/24", "10.2.0.0/24"]) })
  const [pod, before] = [node.pod(), settled(node)]
  expect(network.add(pod).error).toMatchObject({
    code: 102,
    msg: '"cni0" cannot have both 10.1.0.1/24 and 10.2.0.1/24',
    details: expect.stringContaining('"forceAddress": true'),
  })
  expect(settled(node)).toEqual(before)
  expect([leases(node), ports(node)]).toEqual([[], []])
})

test("two IPv4 ranges are both served with forceAddress, also where the bridge has lost one of its addresses", () => {
  using node = new Node()
  const ipam = hostLocal(node, ["10.1.0.0/24", "10.2.0.0/24"])
  const network = new Network(node, { isGateway: true, forceAddress: true, ipam })
  for (const lost of [undefined, "10.1.0.1/24", "10.2.0.1/24"]) {
    if (lost) output(node.inside(["ip", "addr", "del", lost, "dev", "cni0"]))
    const pod = node.pod()
    network.connect(pod)
    expect([...node.addresses("cni0")].sort()).toEqual(["10.1.0.1/24", "10.2.0.1/24"])
    expect([pod.pings("10.1.0.1"), pod.pings("10.2.0.1")]).toEqual([true, true])
  }
})

describe("a stale neighbour entry on the bridge", () => {
  test.each(["10.244.1.2", "fd00:10:244:1::2"])("does not black-hole the pod that gets %s", (address) => {
    using node = new Node()
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) })
    const first = node.pod()
    network.connect(first)
    expect(node.pings(address)).toBe(true)
    network.del(first)
    const stale = ["lladdr", "02:00:00:00:00:99", "dev", "cni0", "nud", "reachable"]
    output(node.inside(["ip", "neigh", "replace", address, ...stale]))
    const ipam = hostLocal(node, [], {
      ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: V6, rangeEnd: "fd00:10:244:1::2" }]],
    })
    const second = node.pod()
    network.connect(second, { config: { ipam }, args: address.includes(":") ? "" : `IgnoreUnknown=1;IP=${address}` })
    expect(second.addresses("eth0")).toContain(`${address}/${address.includes(":") ? 64 : 24}`)
    expect(node.pings(address)).toBe(true)
  })
})

describe("fe80::1 as gateway of an IPv6 range", () => {
  const ranges = [[{ subnet: V6, gateway: "fe80::1" }]]

  test.each(["new", "of somebody else's, and has its link-local address"])(
    "works on a bridge that is %s, beside the kernel's own",
    async (age) => {
      using node = new Node()
      if (age !== "new") {
        addBridge(node, "10.9.9.9/24")
        output(
          node.inside(["ip", "link", "add", "port", "up", "master", "cni0", "type", "veth", "peer", "name", "far"]),
        )
        node.ip("link", "set", "far", "up")
        while (node.ip("-6", "addr", "show", "dev", "cni0").length === 0) await setTimeout(50)
      }
      const network = new Network(node, {
        isDefaultGateway: true,
        forceAddress: true,
        ipam: hostLocal(node, [], { ranges }),
      })
      const pods = [node.pod(), node.pod(), node.pod()]
      for (const pod of pods) {
        const result = network.as("ours", { forceAddress: false }).connect(pod)
        // The pod's own link-local address may take a moment; from its other one there is no way back.
        expect(pod.pings("fe80::1%eth0") || pod.pings("fe80::1%eth0")).toBe(true)
        expect(network.check(pod, result)).toMatchObject({ exitCode: 0, stdout: "" })
      }
      network.connect(node.pod())
      const own = node.ip("-6", "addr", "show", "dev", "cni0")[0]?.addr_info ?? []
      expect(own.map(({ local, prefixlen }) => `${local}/${prefixlen}`).sort()).toEqual([
        "fe80::1/64",
        expect.stringMatching(/^fe80::.+:.+\/64$/),
      ])
    },
  )

  test("is in the way with another prefix length, as an IPv6 address is on a link but once", () => {
    using node = new Node()
    addBridge(node, "fe80::1/128")
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, [], { ranges }) })
    expect(network.add(node.pod()).error).toMatchObject({ code: 102, details: expect.stringContaining("fe80::1/128") })
    network.connect(node.pod(), { config: { forceAddress: true } })
  })
})

function addBridge(node: Node, address: string): void {
  output(node.inside(["ip", "link", "add", "cni0", "address", "02:00:00:00:00:aa", "type", "bridge"]))
  output(node.inside(["ip", "link", "set", "cni0", "up"]))
  output(node.inside(["ip", "addr", "add", address, "dev", "cni0", ...(address.includes(":") ? ["nodad"] : [])]))
}
