import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { ask, Echo, type Question } from "../../lab/echo.ts"
import type { Namespace } from "../../lab/namespace.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { DUAL, hostLocal, Network } from "../bridge/network.ts"
import { type Config, type Mapping, Portmap, QUIET, tcp, udp } from "./network.ts"

const NODE = { 4: "192.168.77.1", 6: "fd00:77::1" }
const BRIDGE = { 4: "10.244.1.1", 6: "fd00:10:244:1::1" }
const CLIENT = { 4: "192.168.77.9", 6: "fd00:77::9" }

/** A node with a client outside of it. */
class Site implements Disposable {
  readonly node = new Node()
  readonly client = this.node.pod()
  readonly #network: Network

  constructor(subnets: readonly string[] = DUAL) {
    const { node, client } = this
    const ipam = hostLocal(node, subnets)
    // A pod reaches itself only where its port of the bridge may send frames back.
    this.#network = new Network(node, { isDefaultGateway: true, hairpinMode: true, ipam })
    node.ip("link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", client.name)
    for (const [side, link, addresses] of [
      [node, "wan0", NODE],
      [client, "eth0", CLIENT],
    ] as const) {
      side.sysctl(`net/ipv6/conf/${link}/accept_dad`, "0") // or nobody answers in the first second
      side.ip("link", "set", link, "up")
      side.ip("addr", "add", `${addresses[4]}/24`, "dev", link)
      side.ip("addr", "add", `${addresses[6]}/64`, "dev", link, "nodad")
    }
  }

  /** A pod on the bridge whose ports are mapped. */
  pod(
    ports: readonly Mapping[],
    config: Config = {},
  ): { pod: Pod; addresses: string[]; portmap: Portmap; result: Result } {
    const pod = this.node.pod()
    const result = this.#network.connect(pod)
    pod.ip("link", "set", "lo", "up")
    const portmap = new Portmap(this.node, config)
    const added = portmap.ask("ADD", pod, { ports, config: { prevResult: result } })
    if (added.exitCode !== 0) throw new Error(added.stdout)
    const addresses = (result.ips ?? []).map(({ address }) => address.replace(/\/.*/, ""))
    return { pod, addresses, portmap, result }
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }
}

/** One who asks, the address of the node that is asked, and the address that the pod hears. */
type Row = readonly [who: string, host: string, hears: string]

describe.each([
  ["tcp", 8080, "nftables"],
  ["udp", 8080, "nftables"],
  ["tcp", 8080, "iptables"],
  ["udp", 8080, "iptables"],
] as const)("a host port of %s reaches the pod (%i, by %s)", (transport, port, backend) => {
  const site = new Site()
  const ports = [{ hostPort: port, containerPort: 80, protocol: transport }]
  const { pod, addresses, portmap, result } = site.pod(ports, { backend })
  const [v4 = "", v6 = ""] = addresses
  let server: Echo
  beforeAll(() => {
    server = new Echo(pod, transport, 80)
  })
  afterAll(() => {
    server[Symbol.dispose]()
    site[Symbol.dispose]()
  })
  const places: Readonly<Record<string, Namespace>> = {
    "a client outside": site.client,
    "the node": site.node,
    "the pod itself": pod,
  }

  test.each<Row>([
    ["a client outside", NODE[4], CLIENT[4]],
    ["a client outside", NODE[6], CLIENT[6]],
    ["the node", NODE[4], NODE[4]],
    ["the node", NODE[6], NODE[6]],
    ["the node", "127.0.0.1", BRIDGE[4]],
    ["the pod itself", NODE[4], BRIDGE[4]],
    ["the pod itself", NODE[6], BRIDGE[6]],
  ])("%s asks %s, the pod hears %s", (who, host, hears) => {
    const question: Question = { transport }
    expect(ask(places[who] ?? site.node, host, port, question)).toBe(`server hears ${hears}`)
  })

  test("and the pod is reached as ever by its own addresses", () => {
    expect(ask(site.node, v4, 80, { transport })).toBe(`server hears ${BRIDGE[4]}`)
    expect(ask(site.node, v6, 80, { transport })).toBe(`server hears ${BRIDGE[6]}`)
  })

  test("until DEL", () => {
    expect(portmap.check(pod, ports, [], { config: { prevResult: result } })).toMatchObject(QUIET)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    for (const host of [NODE[4], NODE[6]])
      expect(ask(site.client, host, port, { transport, timeoutSeconds: 1 })).toBeUndefined()
  })
})

/** With and without frames on a bridge being shown to netfilter, as Kubernetes wants it. */
describe.each(["0", "1"])("with bridge-nf-call-iptables=%s a container reaches another's published port", (seen) => {
  test.each([
    ["tcp", 8080],
    ["udp", 8080],
  ] as const)("of %s, by the node's addresses and the gateway's, again and again", (transport, port) => {
    using site = new Site()
    for (const family of ["ip", "ip6"]) site.node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, seen)
    const { pod: server, addresses } = site.pod([{ hostPort: port, containerPort: 80, protocol: transport }])
    const { pod: client, addresses: own } = site.pod([])
    using _server = new Echo(server, transport, 80)
    for (let time = 0; time < 3; time++) {
      for (const host of [NODE[4], BRIDGE[4]]) {
        expect(ask(client, host, port, { transport }), host).toBe(`server hears ${BRIDGE[4]}`)
      }
      for (const host of [NODE[6], BRIDGE[6]]) {
        expect(ask(client, host, port, { transport }), host).toBe(`server hears ${BRIDGE[6]}`)
      }
    }
    expect(ask(client, addresses[0] ?? "", 80, { transport }), "directly, by its own address").toBe(
      `server hears ${own[0]}`,
    )
    expect(ask(client, addresses[1] ?? "", 80, { transport }), "directly, by its own address").toBe(
      `server hears ${own[1]}`,
    )
  })
})

test("a port of one address of the node is none of its others", () => {
  using site = new Site()
  const { pod } = site.pod([tcp(8080, 80, NODE[4]), tcp(8081, 80, "0.0.0.0"), tcp(8082, 80, "::")])
  using _server = new Echo(pod, "tcp", 80)
  expect(ask(site.client, NODE[4], 8080)).toBe(`server hears ${CLIENT[4]}`)
  expect(ask(site.node, "127.0.0.1", 8080, { timeoutSeconds: 1 })).toBeUndefined()
  expect(ask(site.client, NODE[4], 8081)).toBe(`server hears ${CLIENT[4]}`)
  expect(ask(site.client, NODE[6], 8081, { timeoutSeconds: 1 })).toBeUndefined()
  expect(ask(site.client, NODE[6], 8082)).toBe(`server hears ${CLIENT[6]}`)
  expect(ask(site.client, NODE[4], 8082, { timeoutSeconds: 1 })).toBeUndefined()
})

test.each(["nftables", "iptables"])(
  "by %s without snat the client's address stays, and 127.0.0.1 is not opened",
  (backend) => {
    using site = new Site()
    const { pod } = site.pod([tcp(8080)], { snat: false, backend })
    using _server = new Echo(pod, "tcp", 80)
    expect(ask(site.client, NODE[4], 8080)).toBe(`server hears ${CLIENT[4]}`)
    expect(site.node.sysctl("net/ipv4/conf/cni0/route_localnet")).toBe("0")
    expect(ask(site.node, "127.0.0.1", 8080, { timeoutSeconds: 1 })).toBeUndefined()
  },
)

test.each(["nftables", "iptables"])(
  "by %s with masqAll the pod hears every client by the node's address",
  (backend) => {
    using site = new Site()
    const { pod } = site.pod([tcp(8080)], { masqAll: true, backend })
    using _server = new Echo(pod, "tcp", 80)
    expect(ask(site.client, NODE[4], 8080)).toBe("server hears 10.244.1.1")
    expect(ask(site.client, NODE[6], 8080)).toBe("server hears fd00:10:244:1::1")
  },
)

test.each([
  ["nftables", ["ip", "saddr", "!=", CLIENT[4]], ["iifname", "wan0", "ip6 saddr fd00:77::/61"]],
  ["iptables", ["!", "-s", CLIENT[4]], ["-i", "wan0", "-s", "fd00:77::/61"]],
])("by %s conditions keep others away", (backend, conditionsV4, conditionsV6) => {
  using site = new Site()
  const { pod } = site.pod([tcp(8080)], { backend, conditionsV4, conditionsV6 })
  using _server = new Echo(pod, "tcp", 80)
  expect(ask(site.client, NODE[4], 8080, { timeoutSeconds: 1 })).toBeUndefined()
  expect(ask(site.node, NODE[4], 8080)).toBe(`server hears ${NODE[4]}`)
  expect(ask(site.client, NODE[6], 8080)).toBe(`server hears ${CLIENT[6]}`)
  expect(ask(site.node, NODE[6], 8080, { timeoutSeconds: 1 })).toBeUndefined()
})

test("other hosts' ports of the same number are not led to the pod", () => {
  using site = new Site()
  const { pod } = site.pod([tcp(8080)])
  using _inPod = new Echo(pod, "tcp", 80, "pod")
  using _outside = new Echo(site.client, "tcp", 8080, "outside")
  expect(ask(site.node, CLIENT[4], 8080)).toBe(`outside hears ${NODE[4]}`)
  site.client.ip("route", "add", "10.244.1.0/24", "via", NODE[4])
  expect(ask(pod, CLIENT[4], 8080)).toMatch(/^outside hears /)
})

describe("a UDP port moves at once, for a client that never changes its own", () => {
  const question: Question = { transport: "udp", from: 4000 }

  /** Not to be met in any namespace that other tests make: where a pod lives is looked for on the whole machine. */
  const rare = (number: number) => [`172.29.${number}.0/24`, `fd00:172:29:${number}::/64`]

  test.each([
    ["after DEL", 81, "nftables"],
    ["without DEL, the first pod being gone", 82, "nftables"],
    ["after DEL", 94, "iptables"],
    ["without DEL, the first pod being gone", 95, "iptables"],
  ])("%s (%i, by %s)", (how, number, backend) => {
    using site = new Site(rare(number))
    expect(ask(site.client, NODE[4], 53, { ...question, timeoutSeconds: 1 })).toBeUndefined() // leaves a flow that leads nowhere
    const first = site.pod([udp(53, 5353)], { backend })
    using _first = new Echo(first.pod, "udp", 5353, "first")
    expect(ask(site.client, NODE[4], 53, question)).toBe(`first hears ${CLIENT[4]}`)
    expect(ask(site.client, NODE[6], 53, question)).toBe(`first hears ${CLIENT[6]}`)
    if (how === "after DEL") expect(first.portmap.del(first.pod)).toMatchObject(QUIET)
    else first.pod.ip("link", "del", "eth0")
    const second = site.pod([udp(53, 5353)], { backend })
    using _second = new Echo(second.pod, "udp", 5353, "second")
    expect(ask(site.client, NODE[4], 53, question)).toBe(`second hears ${CLIENT[4]}`)
    expect(ask(site.client, NODE[6], 53, question)).toBe(`second hears ${CLIENT[6]}`)
  })

  test.each(["nftables", "iptables"])(
    "by %s DEL ends the pod's flows, and no other's to the same port elsewhere",
    (backend) => {
      using site = new Site()
      const { pod, portmap } = site.pod([udp(53, 5353)], { backend })
      using _inPod = new Echo(pod, "udp", 5353, "pod")
      using _outside = new Echo(site.client, "udp", 53, "outside")
      const flows = () => {
        const { stdout } = site.node.run("conntrack", "-L", "-p", "udp", "--orig-port-dst", "53")
        return stdout
          .split("\n")
          .filter(Boolean)
          .map((line) => /dst=(\S+)/.exec(line)?.[1])
      }
      site.client.ip("route", "add", "10.244.1.0/24", "via", NODE[4])
      expect(ask(site.client, NODE[4], 53, question)).toBe(`pod hears ${CLIENT[4]}`)
      expect(ask(pod, CLIENT[4], 53, question)).toMatch(/^outside/)
      expect(flows().sort()).toEqual([NODE[4], CLIENT[4]].sort())
      expect(portmap.del(pod)).toMatchObject(QUIET)
      expect(flows()).toEqual([CLIENT[4]])
      portmap.map(pod, [udp(53, 5353)], ["10.244.1.2/24"])
      expect(flows()).toEqual([CLIENT[4]])
    },
  )
})
