import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
beforeEach(() => {
  node = new OperatedNode()
  node.uplink("198.51.100.1/24", "198.51.100.254")
  node.configure(PODNET)
})
afterEach(() => node[Symbol.dispose]())

const findings = () => node.doctor().findings.map(({ kind, about }) => `${kind} ${about}`)

/** A second network of macvlans on the uplink, whose router is the way to everywhere. */
const storage = (more: readonly object[] = []) => ({
  cniVersion: "1.0.0",
  name: "storage",
  plugins: [
    {
      type: "macvlan",
      master: "eth0",
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.10", gateway: "198.51.100.254" }]],
        routes: [{ dst: "0.0.0.0/0", gw: "198.51.100.254", priority: 200 }],
      },
    },
    ...more,
  ] as { type: string }[],
})

describe("the default route", () => {
  test("that a pod lost is put back by repair", () => {
    const pod = node.attach(PODNET, { name: "shop/cart" })
    pod.ip("route", "del", "default")
    expect(findings()).toEqual(["no-default-route shop/cart"])
    expect(node.doctor().findings[0]?.mend).toMatch(/ip route add default via 10\.244\.1\.1 dev eth0$/)
    expect(node.cniTs("repair", "--yes")).toMatchObject({ exitCode: 0, stderr: "" })
    expect(pod.ip("route", "show", "default")).toMatchObject([{ gateway: "10.244.1.1", dev: "eth0" }])
  })

  test("of IPv6", () => {
    node.attach(PODNET, { name: "shop/cart" }).ip("-6", "route", "del", "default")
    expect(findings()).toEqual(["no-default-route shop/cart"])
    expect(node.doctor().findings[0]?.mend).toMatch(/ip -6 route add default via fd00:10:244:1::1 dev eth0$/)
  })
})

test("a route of the node for a part of the pods' network leads their packets elsewhere", () => {
  for (const name of ["shop/cart", "shop/web"]) node.attach(PODNET, { name })
  node.ip("route", "add", "10.244.1.3/32", "via", "198.51.100.254")
  expect(findings()).toEqual(["route-elsewhere shop/web"])
  expect(node.doctor().findings[0]?.evidence).toEqual(["ip route get 10.244.1.3: dev eth0"])
})

test("a route to a pod of ptp that is gone", () => {
  const network = {
    cniVersion: "1.0.0",
    name: "direct",
    plugins: [
      {
        type: "ptp",
        ipam: { type: "host-local", ranges: [[{ subnet: "10.9.9.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
      },
    ],
  }
  node.attach(network, { name: "shop/cart" })
  expect(findings()).toEqual([])
  node.ip("route", "del", "10.9.9.2/32")
  expect(findings()).toEqual(["route-elsewhere shop/cart"])
})

describe("a strict rp_filter", () => {
  const both = (network: ReturnType<typeof storage>) => {
    const pod = node.attach(PODNET, { name: "shop/cart" })
    node.attachTo(pod, network, { name: "shop/cart", ifname: "net1" })
    return pod
  }

  test("drops what comes to a second interface by its router", () => {
    const pod = both(storage())
    expect(findings()).toEqual([])
    pod.sysctl("net/ipv4/conf/net1/rp_filter", "1")
    expect(findings()).toEqual(["rp-filter shop/cart"])
    expect(node.doctor().findings[0]?.evidence[0]).toMatch(
      /ip route get 203\.0\.113\.1 from 198\.51\.100\.10: dev eth0$/,
    )
    pod.sysctl("net/ipv4/conf/net1/rp_filter", "2")
    expect(findings()).toEqual([])
  })

  test("lets it pass behind sbr", () => {
    const pod = both(storage([{ type: "sbr" }]))
    pod.sysctl("net/ipv4/conf/all/rp_filter", "1")
    expect(findings()).toEqual([])
  })
})

describe("sbr", () => {
  test("without its rule: packets do not leave by the interface of their source", () => {
    const pod = node.attach(PODNET, { name: "shop/cart" })
    node.attachTo(pod, storage([{ type: "sbr" }]), { name: "shop/cart", ifname: "net1" })
    expect(findings()).toEqual([])
    pod.run("ip", "rule", "del", "from", "198.51.100.10")
    expect(findings()).toEqual(["routing shop/cart"])
    expect(node.cniTs("repair", "--yes")).toMatchObject({ exitCode: 0, stderr: "" })
    expect(pod.run("ip", "rule").stdout).toContain("from 198.51.100.10")
  })
})

describe("the node's network", () => {
  test("that overlaps the pods', but for those that are on it", () => {
    const pod = node.attach(PODNET, { name: "shop/cart" })
    node.attachTo(pod, storage(), { name: "shop/cart", ifname: "net1" })
    expect(findings()).toEqual([])
    node.ip("address", "add", "10.244.1.200/25", "dev", "eth0", "noprefixroute")
    expect(findings()).toEqual(["overlap podnet"])
  })

  test("whose MTU is smaller than the pods'", () => {
    for (const name of ["shop/cart", "shop/web"]) node.attach(PODNET, { name })
    node.ip("link", "set", "eth0", "mtu", "1450")
    expect(findings()).toEqual(["uplink-mtu podnet"])
  })
})
