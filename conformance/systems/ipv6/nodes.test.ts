import { setTimeout } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import {
  addReadOnly,
  type Config,
  DUAL,
  hostLocal,
  leased,
  Network,
  port,
  V4,
  V6,
} from "../../plugins/bridge/network.ts"
import { dualOfLan, macvlan, ofLan, plugIn } from "../../plugins/macvlan/network.ts"
import { ptp } from "../../plugins/ptp/network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const GATEWAY = "fd00:10:244:1::1"

const NETWORKS: Readonly<Record<string, (node: Node, config?: Config) => Network>> = {
  bridge: (node, config) => new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, DUAL), ...config }),
  ptp: (node, config) => ptp(node, { ipam: hostLocal(node, DUAL), ...config }),
}
const each = describe.each(Object.entries(NETWORKS))

each("a node that has its default route by router advertisement keeps it when %s", (_, network) => {
  test("turns forwarding on, and hears the router later", async () => {
    using node = new Node()
    node.sysctl("net/ipv6/conf/all/forwarding", "0")
    const router = addRouter(node, "uplink")
    addRouter(node, "other")
    await advertise(router, node)
    const before = defaultRoutes(node)
    network(node).connect(node.pod())
    expect(node.sysctl("net/ipv6/conf/all/forwarding")).toBe("1")
    expect(defaultRoutes(node)).toEqual(before)
    const acceptRa = (link: string) => node.sysctl(`net/ipv6/conf/${link}/accept_ra`)
    expect([acceptRa("uplink"), acceptRa("other"), acceptRa("default")]).toEqual(["2", "1", "1"])
    output(node.inside(["ip", "-6", "route", "del", "default"]))
    await advertise(router, node)
    expect(defaultRoutes(node)).toEqual(before)
  })

  test("turns forwarding on for IPv4 alone, and changes no setting of IPv6's", async () => {
    using node = new Node()
    node.sysctl("net/ipv6/conf/all/forwarding", "0")
    await advertise(addRouter(node, "uplink"), node)
    network(node, { ipam: hostLocal(node) }).connect(node.pod())
    expect([node.sysctl("net/ipv6/conf/uplink/accept_ra"), defaultRoutes(node).length]).toEqual(["1", 1])
  })
})

test("a bridge that the node's default route leaves by goes on taking router advertisements, another takes none", async () => {
  using node = new Node()
  node.sysctl("net/ipv6/conf/all/forwarding", "0")
  for (const bridge of ["cni0", "lan"]) output(node.inside(["ip", "link", "add", bridge, "type", "bridge"]))
  const router = addRouter(node, "uplink")
  output(node.inside(["ip", "link", "set", "uplink", "master", "lan"]))
  node.ip("link", "set", "lan", "up")
  await advertise(router, node)
  for (const bridge of ["cni0", "lan"]) {
    new Network(node, { name: bridge, bridge, isGateway: true, ipam: hostLocal(node, [V6]) }).connect(node.pod())
    node.ip("-6", "addr", "flush", "dev", bridge, "scope", "global")
  }
  expect(["cni0", "lan"].map((link) => node.sysctl(`net/ipv6/conf/${link}/accept_ra`))).toEqual(["0", "2"])
  expect(defaultRoutes(node)).toHaveLength(1)
})

describe("an uplink whose MTU is too small for IPv6", () => {
  const MTUS = [
    [1000, 1000, 1280],
    [1279, 1279, 1280],
    [1280, 1280, 1280],
    [1281, 1281, 1281],
  ] as const

  test.each(MTUS)("of %i gives a new bridge's IPv4 pods %i, and pods with IPv6 %i", (uplink, mtu4, mtu6) => {
    using node = new Node()
    addUplink(node, uplink)
    const pods = [node.pod(), node.pod(), node.pod()] as const
    const network = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, [V4]) })
    const ipam = hostLocal(node, DUAL)
    network.connect(pods[0])
    expect([node.link("cni0")?.mtu, pods[0].link("eth0")?.mtu, port(node).mtu]).toEqual([mtu4, mtu4, mtu4])
    for (const pod of [pods[1], pods[2]]) {
      const result = network.connect(pod, { config: { ipam } })
      expect(network.check(pod, result, { config: { ipam } })).toMatchObject(QUIET)
      expect(pod.link("eth0")?.mtu).toBe(mtu6)
      expect(pod.reaches([GATEWAY, "10.244.1.1"])).toEqual([true, true])
    }
    expect(node.link("cni0")?.mtu).toBe(mtu6)
    const own = node.ip("-6", "addr", "show", "dev", "cni0")[0]?.addr_info ?? []
    expect(own.map(({ tentative }) => tentative)).toEqual([undefined, undefined])
  })

  test.each([1000, 1280])("of %i lets the first pod of a bridge have IPv6, usable at once", (mtu) => {
    using node = new Node()
    addUplink(node, mtu)
    const pod = node.pod()
    new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, [V6]) }).connect(pod)
    const own = node.ip("-6", "addr", "show", "dev", "cni0")[0]?.addr_info ?? []
    expect(own.map(({ tentative }) => tentative)).toEqual([undefined, undefined])
    expect([pod.link("eth0")?.mtu, node.pings(`${GATEWAY.slice(0, -1)}2`)]).toEqual([1280, true])
    expect(node.ip("-6", "addr", "show", "dev", port(node).ifname)).toEqual([])
  })

  test("leaves a macvlan on it without room for IPv6: an error that says so, and nothing is left behind", () => {
    using node = new Node()
    plugIn(node)
    node.ip("link", "set", "uplink", "mtu", "1200")
    const pod = node.pod()
    const { error } = macvlan(node, { ipam: dualOfLan(node) }).add(pod)
    expect(error).toMatchObject({ code: 7, msg: expect.stringMatching(/master: an MTU of 1200 .* 1280/) })
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
    macvlan(node, { ipam: ofLan(node) }).connect(pod)
  })
})

describe("a configured MTU too small for IPv6 is an error that says MTU and 1280", () => {
  const ALL = {
    ...NETWORKS,
    macvlan: (node: Node, config?: Config) => {
      plugIn(node)
      return macvlan(node, { ipam: dualOfLan(node), ...config })
    },
  }

  test.each(Object.entries(ALL))("with %s, unless the pod has no IPv6", (type, network) => {
    using node = new Node()
    const small = network(node, { mtu: 1279 })
    const pod = node.pod()
    const { error } = small.add(pod)
    expect(error).toMatchObject({ code: 7, msg: expect.stringMatching(/: mtu: an MTU of 1279 .* 1280/) })
    expect([pod.link("eth0"), leased(node), node.link("cni0")]).toEqual([undefined, [], undefined])
    small.connect(pod, { config: { ipam: type === "macvlan" ? ofLan(node) : hostLocal(node) } })
    small.connect(node.pod(), { config: { mtu: 1280 } })
  })
})

each("on a node with IPv6 switched off %s", (type, network) => {
  test.each([["all", "default"], ["default"]])(
    "by net.ipv6.conf.%s.disable_ipv6 switches it on for its own links",
    (...off) => {
      using node = new Node()
      addUplink(node, 1500)
      for (const name of off) node.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1")
      const made = network(node)
      expect(made.ask("STATUS", undefined)).toMatchObject(QUIET)
      const [one, two] = [node.pod(), node.pod()]
      const result = made.connect(one)
      made.connect(two)
      expect(made.check(one, result)).toMatchObject(QUIET)
      expect(one.reaches([GATEWAY, `${GATEWAY.slice(0, -1)}3`])).toEqual([true, true])
      expect(node.sysctl("net/ipv6/conf/default/disable_ipv6")).toBe("1")
      if (off.includes("all")) expect(node.sysctl("net/ipv6/conf/uplink/disable_ipv6")).toBe("1")
      if (type === "bridge") expect(node.sysctl("net/ipv6/conf/cni0/accept_ra")).toBe("0")
    },
  )
})

test("a bridge with IPv6 switched off gets it with its first IPv6 gateway, and not before", () => {
  using node = new Node()
  node.sysctl("net/ipv6/conf/default/disable_ipv6", "1")
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  network.connect(node.pod())
  expect(node.sysctl("net/ipv6/conf/cni0/disable_ipv6")).toBe("1")
  const pod = node.pod()
  network.connect(pod, { config: { ipam: hostLocal(node, DUAL) } })
  expect(pod.pings(GATEWAY)).toBe(true)
})

each("where /proc/sys is read-only %s", (_, network) => {
  test.each(["0", "1"])("says which setting it needs and how to get it, forwarding being %s", (forwarding) => {
    using node = new Node()
    for (const name of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) node.sysctl(`net/${name}`, forwarding)
    const pod = node.pod()
    const { error } = addReadOnly(network(node), pod, "/proc/sys")
    expect(error).toMatchObject({ code: 101, details: expect.stringContaining("mount -o remount,rw /proc/sys") })
    expect(error?.msg).toMatch(/\/proc\/sys\/net\/\S+: EROFS/)
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
  })
})

function addUplink(node: Node, mtu: number): void {
  output(node.inside(["ip", "link", "add", "uplink", "mtu", `${mtu}`, "type", "veth", "peer", "name", "far"]))
  for (const end of ["uplink", "far"]) node.ip("link", "set", end, "up")
  output(node.inside(["ip", "route", "add", "default", "dev", "uplink"]))
}

/** Another machine behind a link of the node; both have a link-local address at once. */
function addRouter(node: Node, link: string): Pod {
  const router = node.pod()
  output(node.inside(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", router.name]))
  node.sysctl(`net/ipv6/conf/${link}/accept_dad`, "0")
  router.sysctl("net/ipv6/conf/eth0/accept_dad", "0")
  router.ip("link", "set", "eth0", "up")
  node.ip("link", "set", link, "up")
  return router
}

/** ICMPv6 type 134 to all nodes: hop limit 64, a router for half an hour. */
const ADVERTISEMENT = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
`

/** Advertises the router until the node has a default route, as routers do time and again. */
async function advertise(router: Pod, node: Node): Promise<void> {
  for (let attempt = 0; attempt < 50 && defaultRoutes(node).length === 0; attempt++) {
    router.run("python3", "-c", ADVERTISEMENT)
    await setTimeout(100)
  }
  expect(defaultRoutes(node)).toMatchObject([{ protocol: "ra" }])
}

/** Without what counts down. */
function defaultRoutes(node: Node): object[] {
  return node
    .ip("-6", "route", "show", "default")
    .map(({ dst, gateway, dev, protocol }) => ({ dst, gateway, dev, protocol }))
}
