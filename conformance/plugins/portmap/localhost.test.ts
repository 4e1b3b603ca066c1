import { describe, expect, test } from "vitest"
import type { Outcome, Result } from "../../lab/call.ts"
import { ask, Echo } from "../../lab/echo.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, hostLocal, Network } from "../bridge/network.ts"
import { plugIn } from "../macvlan/network.ts"
import { ptp } from "../ptp/network.ts"
import { Portmap, QUIET, resultOf, tcp } from "./network.ts"

const localnet = (node: Node, link: string) => node.sysctl(`net/ipv4/conf/${link}/route_localnet`)

/** Attaches the pod to the network and maps a port to it, as a chain does. */
function map(
  network: Network,
  pod: Pod,
  hostPort = 8080,
  implementation: Implementation = "ours",
  more: Config = {},
): Outcome {
  const { name } = network.config
  const config = { name, prevResult: network.connect(pod), ...more }
  return new Portmap(network.node, {}, implementation).ask("ADD", pod, { ports: [tcp(hostPort)], config })
}

/** As a runtime takes a pod down that remembers everything. */
function unmap(network: Network, pod: Pod, implementation: Implementation = "ours"): void {
  const { name } = network.config
  expect(new Portmap(network.node, { name }, implementation).ask("DEL", pod)).toMatchObject(QUIET)
  expect(network.del(pod)).toMatchObject(QUIET)
}

const gateway = (node: Node, config: Config = {}, implementation: Implementation = "ours") =>
  new Network(node, { isDefaultGateway: true, ipam: hostLocal(node), ...config }, implementation)

/** A network whose users may request any address. */
const requested = (node: Node, address: string, implementation: Implementation = "ours") =>
  new Network(
    node,
    { name: "tenant", bridge: "cni9", ipam: { type: "static" }, runtimeConfig: { ips: [address] } },
    implementation,
  )

/** A node with a link to a LAN, 10.20.0.0/24. */
function inLan(): Node {
  const node = new Node()
  plugIn(node)
  node.ip("addr", "add", "10.20.0.1/24", "dev", "uplink")
  return node
}

describe("a requested address does not open the node's 127.0.0.1 to", () => {
  test.each([
    ["ours", "0", "0"],
    ["reference", "1", "1"],
  ] as const)("the LAN (by %s: %s, after DEL %s)", (implementation, added, left) => {
    using node = inLan()
    const pod = node.pod()
    const network = requested(node, "10.20.0.50/24", implementation)
    const { exitCode, stderr } = map(network, pod, 8080, implementation)
    expect(exitCode).toBe(0)
    if (implementation === "ours")
      expect(stderr).toContain("127.0.0.1 leads to no host port of 10.20.0.50: uplink is no link of this pod's")
    expect(localnet(node, "uplink")).toBe(added)
    unmap(network, pod, implementation)
    expect(localnet(node, "uplink")).toBe(left)
  })

  test("the pods of another network", () => {
    using node = new Node()
    gateway(node).connect(node.pod())
    const pod = node.pod()
    expect(map(requested(node, "10.244.1.50/24"), pod).exitCode).toBe(0)
    expect(localnet(node, "cni0")).toBe("0")
  })

  test("whoever is on a link that an administrator opened for other reasons, nor closes it there", () => {
    using node = inLan()
    node.sysctl("net/ipv4/conf/uplink/route_localnet", "1")
    const pod = node.pod()
    const network = requested(node, "10.20.0.50/24")
    map(network, pod)
    unmap(network, pod)
    expect(localnet(node, "uplink")).toBe("1")
  })
})

test.each([
  ["is the node's way out", true],
  ["has other ports than pods'", false],
])("a bridge that %s is not opened", (_, isWayOut) => {
  using node = inLan()
  output(node.inside(["ip", "link", "add", "cni0", "type", "bridge"]))
  node.ip("link", "set", "cni0", "up")
  if (isWayOut) {
    node.ip("addr", "flush", "dev", "uplink")
    node.ip("addr", "add", "10.20.0.1/24", "dev", "cni0")
    node.ip("link", "set", "uplink", "master", "cni0")
    node.ip("route", "add", "default", "via", "10.20.0.254", "dev", "cni0")
  } else {
    output(node.inside(["ip", "link", "add", "lan0", "type", "ifb"]))
    node.ip("link", "set", "lan0", "master", "cni0")
  }
  const ipam = hostLocal(node, [isWayOut ? "10.20.0.0/24" : "10.244.1.0/24"])
  expect(map(new Network(node, { isGateway: !isWayOut, ipam }), node.pod()).exitCode).toBe(0)
  expect(localnet(node, "cni0")).toBe("0")
})

describe("127.0.0.1 leads to the host port of a pod", () => {
  const NETWORKS: Readonly<Record<string, (node: Node) => Network>> = {
    "on our bridge": (node) => gateway(node),
    "on the Go plugin's bridge": (node) => gateway(node, {}, "reference"),
    "by our ptp": (node) => ptp(node),
    "by the Go plugin's ptp": (node) => ptp(node, {}, "reference"),
  }

  test.each(Object.entries(NETWORKS))("%s", (_, network) => {
    using node = new Node()
    const pod = node.pod()
    expect(map(network(node), pod)).toMatchObject({ exitCode: 0, stderr: "" })
    pod.ip("addr", "add", "fd99::1/64", "dev", "eth0", "nodad") // the server wants to know IPv6 at once
    using _server = new Echo(pod, "tcp", 80)
    expect(ask(node, "127.0.0.1", 8080)).toMatch(/^server hears /)
  })

  test("in a VLAN of a bridge, by the node's interface there", () => {
    using node = new Node()
    const pod = node.pod()
    for (const command of [
      "link add cni0 up type bridge",
      "link add cni0.100 type veth peer name port",
      "link set port up master cni0",
      "link set cni0.100 up",
      "addr add 10.244.1.1/24 dev cni0.100",
      `link add veth0 up master cni0 type veth peer name eth0 netns ${pod.name}`,
    ])
      output(node.inside(["ip", ...command.split(" ")]))
    const prevResult: Result = resultOf(pod, ["10.244.1.2/24"])
    const added = new Portmap(node).ask("ADD", pod, { ports: [tcp(8080)], config: { prevResult } })
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    expect([localnet(node, "cni0.100"), localnet(node, "cni0")]).toEqual(["1", "0"])
    expect(new Portmap(node).ask("DEL", pod)).toMatchObject(QUIET)
    expect(localnet(node, "cni0.100")).toBe("0")
  })
})

describe("a bridge is closed again", () => {
  test("with the last pod that has host ports (the reference leaves it open), whichever network that is of", () => {
    using node = new Node()
    const [network, other] = [gateway(node), gateway(node, { name: "other" })]
    const pods = [node.pod(), node.pod(), node.pod()] as const
    map(network, pods[0], 8080)
    map(network, pods[1], 8081)
    map(other, pods[2], 8082)
    network.connect(node.pod())
    unmap(network, pods[0])
    unmap(network, pods[1])
    using _server = new Echo(pods[2], "tcp", 80)
    expect(ask(node, "127.0.0.1", 8082)).toMatch(/^server hears /)
    unmap(other, pods[2])
    expect(localnet(node, "cni0")).toBe("0")
    map(network, pods[0])
    expect(localnet(node, "cni0")).toBe("1")
  })

  test.each([
    ["iptables", "iptables"],
    ["nftables", "iptables"],
    ["iptables", "nftables"],
  ])("with the last pod, of which the first has its port by %s, the last by %s", (first, last) => {
    using node = new Node()
    const network = gateway(node)
    const pods = [node.pod(), node.pod()] as const
    map(network, pods[0], 8080, "ours", { backend: first })
    map(network, pods[1], 8081, "ours", { backend: last })
    unmap(network, pods[0])
    using _server = new Echo(pods[1], "tcp", 80)
    expect(ask(node, "127.0.0.1", 8081)).toMatch(/^server hears /)
    expect(new Portmap(node).gc([])).toMatchObject({ exitCode: 0 })
    expect(localnet(node, "cni0")).toBe("0")
  })

  test("though a pod on it has its ports by iptables without snat, which needs no 127.0.0.1", () => {
    using node = new Node()
    const network = gateway(node)
    const pods = [node.pod(), node.pod()] as const
    map(network, pods[0], 8080, "ours", { backend: "iptables" })
    map(network, pods[1], 8081, "ours", { backend: "iptables", snat: false })
    expect(localnet(node, "cni0")).toBe("1")
    unmap(network, pods[0])
    expect(localnet(node, "cni0")).toBe("0")
  })

  const COLLECTED: readonly [string, (portmap: Portmap, network: Network) => void][] = [
    [
      "portmap's GC",
      (portmap) => {
        expect(portmap.gc([])).toMatchObject({ exitCode: 0 })
      },
    ],
    [
      "portmap's GC, behind bridge's, which has removed the veth",
      (portmap, network) => {
        expect(network.gc([])).toMatchObject({ exitCode: 0 })
        expect(portmap.gc([])).toMatchObject({ exitCode: 0 })
      },
    ],
    [
      "portmap's DEL, when the pod's veth has gone before",
      (portmap, network) => {
        const [pod] = network.node.pods
        expect(network.del(pod as Pod)).toMatchObject(QUIET)
        expect(portmap.ask("DEL", pod)).toMatchObject(QUIET)
      },
    ],
  ]
  test.each(COLLECTED)("by %s", (_, end) => {
    using node = new Node()
    const network = gateway(node)
    map(network, node.pod())
    expect(localnet(node, "cni0")).toBe("1")
    end(new Portmap(node), network)
    expect(localnet(node, "cni0")).toBe("0")
  })

  test("not by GC as long as another pod needs it, and not if its ports are another program's", () => {
    using node = new Node()
    const network = gateway(node)
    const [stale, living] = [node.pod(), node.pod()]
    map(network, stale, 8080)
    map(network, living, 8081)
    expect(new Portmap(node).gc([living])).toMatchObject({ exitCode: 0 })
    expect(localnet(node, "cni0")).toBe("1")
    for (const command of [
      "link add docker0 up type bridge",
      "link add veth12345 master docker0 up type veth peer far",
    ])
      output(node.inside(["ip", ...command.split(" ")]))
    node.ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
    node.sysctl("net/ipv4/conf/docker0/route_localnet", "1")
    const tenant = requested(node, "172.17.0.9/16")
    map(tenant, node.pod(), 8082)
    expect(tenant.gc([])).toMatchObject({ exitCode: 0 })
    expect(new Portmap(node, { name: "tenant" }).gc([])).toMatchObject({ exitCode: 0 })
    expect(localnet(node, "docker0")).toBe("1")
  })

  test("when all its pods go at once", async () => {
    using node = new Node()
    const network = gateway(node)
    const pods = Array.from({ length: 6 }, () => node.pod())
    for (const [index, pod] of pods.entries()) map(network, pod, 8080 + index)
    const { config } = new Portmap(node)
    await Promise.all(pods.map((netns) => node.callAsync("portmap", { command: "DEL", netns, config })))
    expect(localnet(node, "cni0")).toBe("0")
  })

  test("unless the node's links are born open", () => {
    using node = new Node()
    node.sysctl("net/ipv4/conf/default/route_localnet", "1")
    const pod = node.pod()
    map(gateway(node), pod)
    unmap(gateway(node), pod)
    expect(localnet(node, "cni0")).toBe("1")
  })

  test("and is open to a pod that comes as the last one goes", async () => {
    using node = new Node()
    const network = gateway(node)
    const [old, young] = [node.pod(), node.pod()] as const
    const prevResult = network.connect(young)
    const { config } = new Portmap(node, { prevResult, runtimeConfig: { portMappings: [tcp(8081)] } })
    for (let round = 0; round < 20; round++) {
      map(network, old)
      const going = node.callAsync("portmap", { command: "DEL", netns: old, config: new Portmap(node).config })
      const coming = node.callAsync("portmap", { command: "ADD", netns: young, config })
      for (const { exitCode } of await Promise.all([going, coming])) expect(exitCode).toBe(0)
      expect(localnet(node, "cni0")).toBe("1")
      unmap(network, old)
      expect(new Portmap(node).ask("DEL", young)).toMatchObject(QUIET)
      expect(localnet(node, "cni0")).toBe("0")
    }
  })
})
