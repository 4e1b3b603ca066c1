import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, hostLocal, Network, port } from "./network.ts"

describe("the host end of the veth", () => {
  test.each([
    ["hairpinMode", "hairpin"],
    ["portIsolation", "isolated"],
  ])("is a port as %s says", (key, flag) => {
    using node = new Node()
    for (const on of [true, false]) {
      const network = new Network(node, { [key]: on })
      const pod = node.pod()
      network.connect(pod)
      expect(port(node)[flag]).toBe(on)
      network.del(pod)
    }
  })

  test("says in its alias whose it is, and is named after network, container and interface alone", () => {
    using node = new Node()
    const [network, pod] = [new Network(node), node.pod()]
    network.connect(pod)
    const { ifname } = port(node)
    expect(node.link(ifname)?.["ifalias"]).toBe(`cni-ts net ${pod.containerId} eth0`)
    network.del(pod)
    network.connect(pod)
    expect(port(node).ifname).toBe(ifname)
  })

  test("has no IPv6 address and takes none from router advertisements", () => {
    using node = new Node()
    new Network(node, { isGateway: true, ipam: hostLocal(node) }).connect(node.pod())
    const { ifname } = port(node)
    expect(node.ip("-d", "link", "show", "dev", ifname)[0]).toMatchObject({ inet6_addr_gen_mode: "none" })
    expect(node.sysctl(`net/ipv6/conf/${ifname}/accept_ra`)).toBe("0")
    expect(node.ip("addr", "show", "dev", ifname)[0]?.addr_info).toEqual([])
    expect(node.sysctl("net/ipv6/conf/cni0/accept_ra")).toBe("0")
  })

  test("is set up too if it is too small for IPv6", () => {
    using node = new Node()
    output(node.inside(["ip", "link", "add", "cni0", "mtu", "1200", "type", "bridge"]))
    output(node.inside(["ip", "link", "set", "cni0", "mtu", "1200"]))
    const pod = node.pod()
    new Network(node, { isGateway: true, ipam: hostLocal(node) }).connect(pod)
    expect(node.link(port(node).ifname)).toMatchObject({ mtu: 1200, operstate: "UP" })
    expect(pod.pings("10.244.1.1")).toBe(true)
  })

  test("forwards as soon as ADD returns", () => {
    using node = new Node()
    new Network(node).connect(node.pod())
    expect(port(node)).toMatchObject({ state: "forwarding", flags: expect.arrayContaining(["UP", "LOWER_UP"]) })
  })
})

test("a bridge that has no room for one more port is told", () => {
  using node = new Node()
  const pairs = Array.from({ length: 512 }, (_, at) => `link add a${at} master cni0 type veth peer name b${at}`)
  const peers = pairs.slice(1).map((_, at) => `link set b${at} master cni0`)
  const stdin = ["link add cni0 type bridge", ...pairs, ...peers].join("\n")
  output(node.inside(["ip", "-batch", "-"]), { stdin })
  const { error } = new Network(node).add(node.pod())
  expect(error).toMatchObject({
    msg: expect.stringContaining("exchange full"),
    details: expect.stringContaining("1,023"),
  })
})

test("isolated pods reach their gateway and not each other", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, portIsolation: true, ipam: hostLocal(node) })
  const [one, two] = [node.pod(), node.pod()]
  network.connect(one)
  network.connect(two)
  expect([one.pings("10.244.1.1"), one.pings("10.244.1.3")]).toEqual([true, false])
})

test("promiscMode sets the flag on a new bridge and on an existing one; without it nothing is switched off", () => {
  using node = new Node()
  const flags = () => node.link("cni0")?.flags
  const network = new Network(node)
  network.connect(node.pod())
  expect(flags()).not.toContain("PROMISC")
  network.as("ours", { promiscMode: true }).connect(node.pod())
  expect(flags()).toContain("PROMISC")
  network.connect(node.pod())
  expect(flags()).toContain("PROMISC")
  network.as("ours", { bridge: "cni1", promiscMode: true }).connect(node.pod())
  expect(node.link("cni1")?.flags).toContain("PROMISC")
})

describe("the pod's MAC address", () => {
  const [args, cni, runtime] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"]
  const fromCni = { args: { cni: { mac: cni } } }
  test.each<[string, string, { args?: string; config?: Config }]>([
    ["from CNI_ARGS", args, { args: `IgnoreUnknown=1;MAC=${args}` }],
    ["from args.cni before CNI_ARGS", cni, { args: `MAC=${args}`, config: fromCni }],
    [
      "from runtimeConfig before both",
      runtime,
      {
        args: `MAC=${args}`,
        config: { ...fromCni, runtimeConfig: { mac: runtime } },
      },
    ],
    [
      "from RuntimeConfig, spelled with a capital",
      runtime,
      {
        args: `MAC=${args}`,
        config: { ...fromCni, RuntimeConfig: { mac: runtime } },
      },
    ],
    ["not from an empty one", args, { args: `MAC=${args}`, config: { runtimeConfig: { mac: "" } } }],
    [
      "written in capitals and dashes",
      "02:00:00:00:ab:cd",
      { config: { runtimeConfig: { mac: "02-00-00-00-AB-CD" } } },
    ],
  ])("is taken %s", (_, expected, more) => {
    using node = new Node()
    const pod = node.pod()
    const network = new Network(node)
    const result = network.connect(pod, more)
    expect(pod.link("eth0")?.address).toBe(expected)
    expect(result.interfaces?.[2]?.mac).toBe(expected)
    expect(network.check(pod, result, more).exitCode).toBe(0)
  })

  test("is otherwise made up: local, unicast, and another for every pod", () => {
    using node = new Node()
    const macs = [node.pod(), node.pod()].map((pod) => {
      new Network(node).connect(pod)
      return pod.link("eth0")?.address ?? ""
    })
    expect(new Set(macs).size).toBe(2)
    for (const mac of macs) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2)
  })
})

describe("mtu", () => {
  test("is that of both veth ends and of a new bridge, which keeps it when its last port goes", () => {
    using node = new Node()
    const [network, pod] = [new Network(node, { mtu: 1450 }), node.pod()]
    network.connect(pod)
    const mtus = () => [node.link("cni0")?.mtu, node.link(port(node).ifname)?.mtu, pod.link("eth0")?.mtu]
    expect(mtus()).toEqual([1450, 1450, 1450])
    network.del(pod)
    expect(node.link("cni0")?.mtu).toBe(1450)
  })

  test.each([1400, 9000])("%i is applied to an existing bridge (the reference leaves it alone)", (mtu) => {
    using node = new Node()
    const network = new Network(node)
    network.connect(node.pod())
    expect(node.link("cni0")?.mtu).toBe(1500)
    const pod = node.pod()
    network.connect(pod, { config: { mtu } })
    expect([node.link("cni0")?.mtu, pod.link("eth0")?.mtu]).toEqual([mtu, mtu])
  })

  test("0 is the MTU of the default route's interface for a new bridge, and the bridge's for every pod", () => {
    using node = new Node()
    addUplink(node, "uplink", 1337, "default", "metric", "100")
    addUplink(node, "backup", 1200, "default", "metric", "200")
    const network = new Network(node)
    const mtuOf = (name: string) => node.link(name)?.mtu
    for (const time of ["first", "after all ports had gone"]) {
      const pod = node.pod()
      network.connect(pod)
      expect([mtuOf("cni0"), mtuOf(port(node).ifname), pod.link("eth0")?.mtu], time).toEqual([1337, 1337, 1337])
      network.del(pod)
    }
  })

  test("0 never leads to more than the default route's MTU, also for pods that come while the bridge is being made", async () => {
    using node = new Node()
    addUplink(node, "uplink", 1337, "default")
    const { config } = new Network(node, { isGateway: true, ipam: hostLocal(node) })
    const pods = Array.from({ length: 16 }, () => node.pod())
    const answers = await Promise.all(
      pods.map((netns) => node.callAsync("bridge", { command: "ADD", netns, config: { ...config, mtu: 0 } })),
    )
    expect(answers.map(({ exitCode }) => exitCode)).toEqual(pods.map(() => 0))
    // One less while the kernel has yet to be told to keep it.
    expect(pods.map((pod) => Math.abs((pod.link("eth0")?.mtu ?? 0) - 1336.5))).toEqual(pods.map(() => 0.5))
    expect(pods.every((pod) => pod.pings("10.244.1.1"))).toBe(true)
  })

  test("0 is the kernel's choice for a new bridge on a node without default route", () => {
    using node = new Node()
    addUplink(node, "uplink", 1337, "10.0.0.0/8")
    const pod = node.pod()
    new Network(node).connect(pod)
    expect([node.link("cni0")?.mtu, pod.link("eth0")?.mtu]).toEqual([1500, 1500])
  })

  test("0 does not touch an existing bridge, and its MTU is the pods'", () => {
    using node = new Node()
    addUplink(node, "uplink", 1337, "default")
    output(node.inside(["ip", "link", "add", "cni0", "mtu", "1280", "type", "bridge"]))
    output(node.inside(["ip", "link", "set", "cni0", "mtu", "1280"]))
    const pod = node.pod()
    new Network(node).connect(pod)
    expect([node.link("cni0")?.mtu, pod.link("eth0")?.mtu]).toEqual([1280, 1280])
  })
})

function addUplink(node: Node, name: string, mtu: number, ...route: string[]): void {
  output(node.inside(["ip", "link", "add", name, "mtu", `${mtu}`, "type", "veth", "peer", `${name}-peer`]))
  output(node.inside(["ip", "link", "set", name, "up"]))
  output(node.inside(["ip", "route", "add", ...route.slice(0, 1), "dev", name, ...route.slice(1)]))
}
