import { setTimeout } from "node:timers/promises"
import { expect, test } from "vitest"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { LimitedPod } from "../plugins/bandwidth/limited.ts"
import { type Config, DUAL, hostLocal, Network } from "../plugins/bridge/network.ts"
import { readSysctls } from "../plugins/bridge/observed.ts"
import { macvlan, ofLan, plugIn } from "../plugins/macvlan/network.ts"
import { ptp } from "../plugins/ptp/network.ts"

interface Case {
  readonly network: (node: Node) => Network
  /** Returns the link on which the node would hear the pod. */
  readonly heardOn: (node: Node) => string
}

const onBridge = (config: (node: Node) => Config, heardOn = "cni0"): Case => ({
  network: (node) => new Network(node, config(node)),
  heardOn: () => heardOn,
})

const onPtp = (config: (node: Node) => Config): Case => ({
  network: (node) => ptp(node, config(node)),
  heardOn: (node) => String(node.ip("link", "show", "type", "veth")[0]?.ifname),
})

const CASES: Readonly<Record<string, Case>> = {
  "bridge, layer 2": onBridge(() => ({})),
  "bridge, IPv4 gateway": onBridge((node) => ({ isGateway: true, ipam: hostLocal(node) })),
  "bridge, dual-stack gateway": onBridge((node) => ({ isGateway: true, ipam: hostLocal(node, DUAL) })),
  "bridge, MTU too small for IPv6 at first": {
    ...onBridge((node) => ({ isGateway: true, ipam: hostLocal(node, DUAL) })),
    network: (node) => {
      output(node.inside(["ip", "link", "add", "cni0", "mtu", "1000", "type", "bridge"]))
      return new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) })
    },
  },
  "bridge, made by the administrator": {
    ...onBridge((node) => ({ isGateway: true, ipam: hostLocal(node, DUAL) })),
    network: (node) => {
      output(node.inside(["ip", "link", "add", "cni0", "type", "bridge"]))
      return new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) })
    },
  },
  "ptp, IPv4": onPtp(() => ({})),
  "ptp, dual stack": onPtp((node) => ({ ipam: hostLocal(node, DUAL) })),
  "ptp, dual stack, on a node that has IPv6 off": {
    ...onPtp((node) => ({ ipam: hostLocal(node, DUAL) })),
    network: (node) => {
      node.sysctl("net/ipv6/conf/default/disable_ipv6", "1")
      return ptp(node, { ipam: hostLocal(node, DUAL) })
    },
  },
}

/** ICMPv6 type 134 to all nodes: a router for half an hour, and a prefix to make oneself an address in. */
const ADVERTISEMENT = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 3600, 3600, 0, socket.inet_pton(socket.AF_INET6, "fd66::"))
router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
s.sendto(router + prefix, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
`

/** Sends advertisements from the pod until the node has counted one that came in by the link. */
async function advertise(pod: Pod, node: Node, link: string): Promise<void> {
  const heard = () => /Icmp6InRouterAdvertisements\s+[1-9]/.test(node.run("cat", `/proc/net/dev_snmp6/${link}`).stdout)
  for (let attempt = 0; attempt < 100 && !heard(); attempt++) {
    pod.run("python3", "-c", ADVERTISEMENT)
    await setTimeout(50)
  }
  expect(heard(), `an advertisement came in by ${link}`).toBe(true)
}

/** Returns what the node has learned: routes by their protocol, and addresses in the prefix. */
function learned(node: Node): object[] {
  const routes = node.ip("-6", "route", "show", "table", "all").filter(({ protocol, dst }) => {
    return protocol === "ra" || dst === "default" || String(dst).startsWith("fd66:")
  })
  const addresses = node.ip("-6", "addr", "show").flatMap(({ addr_info = [] }) => addr_info)
  return [...routes, ...addresses.filter(({ local }) => local.startsWith("fd66:"))]
}

test.each(Object.entries(CASES))(
  "a pod does not become the node's IPv6 router: %s",
  async (_, { network, heardOn }) => {
    using node = new Node()
    node.sysctl("net/ipv6/conf/all/forwarding", "0")
    const pod = node.pod()
    network(node).connect(pod)
    node.sysctl("net/ipv6/conf/all/forwarding", "0") // a node that forwards would not listen anyway
    await advertise(pod, node, heardOn(node))
    expect(learned(node)).toEqual([])
  },
)

test("a link that listens learns a route and an address from the same advertisement", async () => {
  using node = new Node()
  node.sysctl("net/ipv6/conf/all/forwarding", "0")
  const router = node.pod()
  output(node.inside(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", router.name]))
  for (const [where, link] of [
    [node, "uplink"],
    [router, "eth0"],
  ] as const) {
    where.sysctl(`net/ipv6/conf/${link}/accept_dad`, "0")
    where.ip("link", "set", link, "up")
  }
  await advertise(router, node, "uplink")
  expect(learned(node)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ dst: "default", protocol: "ra" }),
      expect.objectContaining({ local: expect.stringMatching(/^fd66:/) }),
    ]),
  )
})

test("of all links that plugins make on the node, none takes router advertisements", () => {
  using node = new Node()
  plugIn(node)
  const before = new Set(node.ip("link", "show").map(({ ifname }) => ifname))
  new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) }).connect(node.pod())
  ptp(node, { name: "second", ipam: hostLocal(node, ["10.2.0.0/24"]) }).connect(node.pod())
  macvlan(node, { name: "third", ipam: ofLan(node) }).connect(node.pod())
  const limited = new LimitedPod(node)
  limited.add({ egressRate: 8000, egressBurst: 80, egressMode: "ifb" })
  const made = node.ip("-d", "link", "show").filter(({ ifname }) => !before.has(ifname) && ifname !== limited.veth)
  const kinds = made.map(({ linkinfo }) => linkinfo?.info_kind).sort()
  expect(kinds).toEqual(["bridge", "ifb", "veth", "veth"])
  for (const { ifname = "", linkinfo } of made) {
    const refusal = linkinfo?.info_kind === "ifb" ? "addr_gen_mode:1" : "accept_ra:0"
    expect([ifname, ...readSysctls(node, ifname)]).toContain(`ipv6/conf/LINK/${refusal}`)
  }
})
