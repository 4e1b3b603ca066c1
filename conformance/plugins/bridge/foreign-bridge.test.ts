import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, hostLocal, Network } from "./network.ts"

/** Bridges as somebody else may have left them: with ports or without, up or down; none has a fixed MAC address. */
const BRIDGES: Readonly<Record<string, (node: Node) => void>> = {
  "without ports": (node) => addBridge(node),
  "without ports, and down": (node) => addBridge(node, "down"),
  "with an uplink": (node) => addPort(node, "02:00:00:00:00:77", "up"),
  "with an uplink of the highest MAC address": (node) => addPort(node, "fe:ff:ff:ff:ff:ff", "up"),
  "with an uplink that is down": (node) => addPort(node, "ee:00:00:00:00:77", "down"),
}

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "a layer 2 network": () => ({}),
  "a network with gateway": (node) => ({ isGateway: true, ipam: hostLocal(node) }),
}

describe.each(Object.entries(BRIDGES))("a bridge of somebody else's, %s, keeps its MAC address", (_, make) => {
  test.each(Object.entries(NETWORKS))("as pods of %s come and go", (_, config) => {
    using node = new Node()
    make(node)
    const mac = node.link("cni0")?.address
    const network = new Network(node, config(node))
    const pods = [node.pod(), node.pod(), node.pod()]
    for (const pod of pods) {
      expect(network.connect(pod).interfaces?.[0]?.mac).toBe(mac)
      expect(node.link("cni0")?.address).toBe(mac)
    }
    for (const pod of pods) {
      network.del(pod)
      expect(node.link("cni0")?.address).toBe(mac)
    }
  })

  test("after an ADD that failed", () => {
    using node = new Node()
    make(node)
    const bridge = () => ({ mac: node.link("cni0")?.address, up: node.link("cni0")?.flags?.includes("UP") })
    const before = bridge()
    const ipam = hostLocal(node, undefined, { routes: [{ dst: "10.6.0.0/16", gw: "203.0.113.9" }] })
    expect(new Network(node, { isGateway: true, ipam }).add(node.pod()).exitCode).toBe(1)
    expect(bridge()).toEqual(before)
  })
})

test("a bridge of somebody else's that has lost its last port, and its MAC address with it, gets one for good", () => {
  using node = new Node()
  addPort(node, "02:00:00:00:00:77", "up")
  node.ip("link", "del", "uplink")
  expect(node.link("cni0")?.address).toBe("00:00:00:00:00:00")
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const [one, two] = [node.pod(), node.pod()]
  const { interfaces = [] } = network.connect(one)
  network.connect(two)
  for (const pod of [one, two]) network.del(pod)
  expect(node.link("cni0")?.address).toBe(interfaces[0]?.mac)
  expect(interfaces[0]?.mac).toMatch(/^.[26ae]:/)
})

/** Neighbours that are forgotten are asked for again, on the node's way to every pod. */
test("pods that come to a bridge in use do not make the node forget its neighbours there", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  network.connect(node.pod())
  output(
    node.inside(["ip", "neigh", "add", "10.244.1.99", "lladdr", "02:00:00:00:00:99", "dev", "cni0", "nud", "stale"]),
  )
  network.connect(node.pod())
  expect(node.ip("neigh", "show", "dev", "cni0").map(({ dst }) => dst)).toContain("10.244.1.99")
})

function addBridge(node: Node, state = "up"): void {
  output(node.inside(["ip", "link", "add", "cni0", "type", "bridge"]))
  output(node.inside(["ip", "link", "set", "cni0", state]))
}

function addPort(node: Node, mac: string, state: "up" | "down"): void {
  addBridge(node)
  output(node.inside(["ip", "link", "add", "uplink", "address", mac, "type", "veth", "peer", "name", "far"]))
  output(node.inside(["ip", "link", "set", "uplink", "master", "cni0"]))
  for (const end of ["far", "uplink"]) output(node.inside(["ip", "link", "set", end, state]))
}
