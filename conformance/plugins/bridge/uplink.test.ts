import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { macvlan } from "../macvlan/network.ts"
import { Network } from "./network.ts"

const UNUSABLE = ["unreachable default", "blackhole default", "prohibit default", "throw default", "default dev lo"]
const everywhere = (["-4", "-6"] as const).flatMap((family) => UNUSABLE.map((route) => [family, route] as const))

describe.each(everywhere)("a node whose default route is ip %s route add %s", (family, route) => {
  const add = (node: Node) => output(node.inside(["ip", family, "route", "add", ...route.split(" ")]))

  test("gives a new bridge the kernel's MTU, and macvlan no master", () => {
    using node = new Node()
    add(node)
    const pod = node.pod()
    new Network(node).connect(pod)
    expect([node.link("cni0")?.mtu, pod.link("eth0")?.mtu]).toEqual([1500, 1500])
    const { error } = macvlan(node, { master: undefined }).add(node.pod())
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("no default route") })
  })

  test("takes the MTU of a worse one that leaves the node", () => {
    using node = new Node()
    add(node)
    addLink(node, "uplink", 1400)
    output(node.inside(["ip", "-6", "route", "add", "default", "dev", "uplink", "metric", "90000"]))
    new Network(node).connect(node.pod())
    expect(node.link("cni0")?.mtu).toBe(1400)
  })
})

describe.each([
  ["-4", []],
  ["-6", ["via", "fe80::1"]],
] as const)("a multipath default route, ip %s", (family, gateway) => {
  test.each([
    ["is down", (node: Node) => node.ip("link", "set", "first", "down")],
    ["has no carrier", (node: Node) => node.ip("link", "set", "far-first", "down")],
  ])("whose first hop %s names the second", (_, harm) => {
    using node = new Node()
    addLink(node, "first", 1300)
    addLink(node, "second", 1400)
    const hops = ["first", "second"].flatMap((link) => ["nexthop", ...gateway, "dev", link])
    output(node.inside(["ip", family, "route", "add", "default", ...hops]))
    harm(node)
    new Network(node).connect(node.pod())
    expect(node.link("cni0")?.mtu).toBe(1400)
    const pod = node.pod()
    macvlan(node, { master: undefined }).connect(pod)
    expect(pod.link("eth0")?.link_index).toBe(node.link("second")?.ifindex)
  })
})

test("a default route by next hop objects names the link of the first that is up", () => {
  using node = new Node()
  addLink(node, "first", 1300)
  addLink(node, "second", 1400)
  for (const [id, link] of [
    ["1", "first"],
    ["2", "second"],
  ] as const)
    output(node.inside(["ip", "-4", "nexthop", "add", "id", id, "dev", link]))
  output(node.inside(["ip", "nexthop", "add", "id", "9", "group", "1/2"]))
  output(node.inside(["ip", "route", "add", "default", "nhid", "9"]))
  node.ip("link", "set", "first", "down")
  new Network(node).connect(node.pod())
  expect(node.link("cni0")?.mtu).toBe(1400)
})

/** A link of the node that is up, with carrier. */
function addLink(node: Node, name: string, mtu: number): void {
  output(node.inside(["ip", "link", "add", name, "mtu", `${mtu}`, "type", "veth", "peer", "name", `far-${name}`]))
  for (const end of [name, `far-${name}`]) output(node.inside(["ip", "link", "set", end, "up"]))
}
