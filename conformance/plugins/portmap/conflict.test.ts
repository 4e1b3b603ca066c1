import { describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { hostLocal, Network } from "../bridge/network.ts"
import { type Config, type Mapping, type More, nft, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const ONE = ["10.1.0.2/24"]
const TWO = ["10.1.0.3/24"]

describe("a port that another pod has", () => {
  test.each<[string, Mapping, Mapping, boolean]>([
    ["any address, any address", tcp(80), tcp(80), true],
    ["one address, any address", tcp(80, 80, "192.0.2.1"), tcp(80), true],
    ["any address, one address", tcp(80), tcp(80, 80, "192.0.2.1"), true],
    ["any of a family, one address", tcp(80, 80, "0.0.0.0"), tcp(80, 80, "192.0.2.1"), true],
    ["the same address", tcp(80, 80, "192.0.2.1"), tcp(80, 81, "192.0.2.1"), true],
    ["two addresses", tcp(80, 80, "192.0.2.1"), tcp(80, 80, "192.0.2.2"), false],
    ["two protocols", tcp(80), udp(80), false],
    ["two ports", tcp(80), tcp(81), false],
  ])("%s", (_, first, second, conflict) => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.map(one, [first], ONE)
    const before = ruleset(node, { sets: true })
    const { exitCode, error } = portmap.add(two, [tcp(9999), second], TWO)
    if (!conflict) {
      expect(exitCode).toBe(0)
      expect(portmap.del(one)).toMatchObject(QUIET)
      expect(portmap.check(two, [tcp(9999), second], TWO)).toMatchObject(QUIET)
      return
    }
    expect(error?.code).toBe(102)
    expect(error?.msg).toContain(`:80/tcp is taken`.slice(second.hostIP === "192.0.2.1" ? 0 : 1))
    expect(error?.msg).toContain(`container ${one.containerId} (network net, interface eth0)`)
    expect(ruleset(node, { sets: true })).toEqual(before)
    expect(portmap.del(one)).toMatchObject(QUIET)
    portmap.map(two, [tcp(9999), second], TWO)
  })

  test("of the Go plugin is reported too", () => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.as("reference").map(one, [tcp(80)], ONE)
    expect(portmap.add(two, [tcp(80)], TWO).error).toMatchObject({
      code: 102,
      msg: `host port 80/tcp is taken by container ${one.containerId}`,
    })
  })

  test("is reported for the family in which it is taken, and nothing is done in the other", () => {
    using node = new Node()
    const portmap = new Portmap(node)
    portmap.map(node.pod(), [tcp(80)], ["fd00::2/64"])
    const before = ruleset(node, { sets: true })
    expect(portmap.add(node.pod(), [tcp(80)], [...ONE, "fd00::3/64"]).error?.code).toBe(102)
    expect(ruleset(node, { sets: true })).toEqual(before)
  })
})

describe("the container's own port on another of its networks, as podman and nerdctl have it,", () => {
  const led = (node: Node) => rules(node, "hostports").map((rule) => rule.replace(/ comment.*/, ""))
  const elsewhere = { name: "other" }
  const AT = { one: "tcp dport 80 dnat to 10.1.0.2:80", two: "tcp dport 80 dnat to 10.1.0.3:80" }

  test.each<[string, More]>([
    ["network", { config: elsewhere }],
    ["interface", { ifname: "net1" }],
  ])("%s leads there, and stays until the last is removed", (_, second) => {
    using node = new Node()
    const [pod, other] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.map(pod, [tcp(80)], ONE)
    portmap.map(pod, [tcp(80)], TWO, second)
    expect(led(node)).toEqual([AT.one, AT.two])
    expect(portmap.check(pod, [tcp(80)], ONE)).toMatchObject(QUIET)
    expect(portmap.check(pod, [tcp(80)], TWO, second)).toMatchObject(QUIET)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(led(node)).toEqual([AT.two])
    expect(portmap.add(other, [tcp(80)], ["10.1.0.4/24"]).error, "still taken").toMatchObject({ code: 102 })
    expect(portmap.del(pod, second)).toMatchObject(QUIET)
    portmap.map(other, [tcp(80)], ["10.1.0.4/24"])
  })

  test("is found again after GC of the first network", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    portmap.map(pod, [tcp(80)], ONE)
    portmap.map(pod, [tcp(80)], TWO, { config: elsewhere })
    expect(portmap.gc([]).exitCode).toBe(0)
    expect(led(node)).toEqual([AT.two])
    expect(portmap.add(node.pod(), [tcp(80)], ["10.1.0.4/24"]).error?.code).toBe(102)
    expect(portmap.del(pod, { config: elsewhere })).toMatchObject(QUIET)
    expect(led(node)).toEqual([])
  })
})

describe("one address each", () => {
  test("after DEL of one the other's claim still counts", () => {
    using node = new Node()
    const pods = [1, 2, 3].map(() => node.pod())
    const [one, two, three] = pods
    if (!one || !two || !three) throw new Error("three pods")
    const portmap = new Portmap(node)
    portmap.map(one, [tcp(80, 80, "192.0.2.1")], ONE)
    portmap.map(two, [tcp(80, 80, "192.0.2.2")], TWO)
    expect(portmap.del(one)).toMatchObject(QUIET)
    expect(portmap.add(three, [tcp(80)], ["10.1.0.4/24"]).error).toMatchObject({ code: 102 })
  })
})

describe("a pod keeps its ports, whoever requests its address:", () => {
  const PORTS = [tcp(8080), tcp(8443), udp(9000)]

  test.each<[string, Config, "ours" | "reference"]>([
    ["a pod of another network", { name: "other" }, "ours"],
    ["one of its own network, of which nothing on the host tells who lives", {}, "ours"],
    ["a pod, where the Go plugin led the ports to it", { name: "other" }, "reference"],
  ])("%s", (_, config, implementation) => {
    using node = new Node()
    const [victim, thief] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    const elsewhere = portmap.as("ours", config)
    portmap.as(implementation).map(victim, PORTS, ONE)
    const before = ruleset(node, { sets: implementation === "ours" })
    expect(elsewhere.add(thief, [tcp(8080)], ONE).error).toMatchObject({ code: 102 })
    expect(elsewhere.add(thief, [tcp(7000), udp(9000)], ONE).error).toMatchObject({ code: 102 })
    expect(ruleset(node, { sets: implementation === "ours" })).toEqual(before)
    elsewhere.map(thief, [tcp(7000)], ONE)
    expect(portmap.check(victim, PORTS, ONE)).toMatchObject(QUIET)
    expect(elsewhere.del(thief)).toMatchObject(QUIET)
    expect(portmap.check(victim, PORTS, ONE)).toMatchObject(QUIET)
    expect(rules(node, "hostports")).toHaveLength(3)
  })

  test("a pod on another bridge, of a network whose users name their addresses", () => {
    using node = new Node()
    const [victim, thief] = [node.pod(), node.pod()]
    const network = new Network(node, { ipam: hostLocal(node) })
    const result = network.connect(victim)
    const portmap = new Portmap(node)
    const added = portmap.ask("ADD", victim, { ports: PORTS, config: { prevResult: result } })
    expect(added.exitCode).toBe(0)
    const before = ruleset(node, { sets: true })
    const address = result.ips?.[0]?.address
    const other = { name: "other", bridge: "cni1", capabilities: { ips: true }, runtimeConfig: { ips: [address] } }
    const requested = network.as("ours", { ...other, ipam: { type: "static" } }).connect(thief)
    expect(requested.ips?.[0]?.address).toBe(address)
    const config = { prevResult: requested }
    const stolen = portmap.as("ours", { name: "other" }).ask("ADD", thief, { ports: [tcp(8080)], config })
    expect(stolen.error).toMatchObject({ code: 102 })
    expect(stolen.error?.msg).toContain(victim.containerId)
    expect(ruleset(node, { sets: true })).toEqual(before)
  })
})

describe("what was left by a pod that is gone does not stop another", () => {
  test.each([
    ["address", "172.29.78.2/24", "172.29.78.3/24"],
    ["address, which is the first one's", "172.29.83.2/24", "172.29.83.2/24"],
  ])("of its network with an %s", (_, first, address) => {
    using node = new Node()
    // Not to be met in any namespace that other tests make: where a pod lives is looked for on the whole machine.
    const network = new Network(node, { ipam: hostLocal(node, [first.replace(".2/", ".0/")]) })
    const portmap = new Portmap(node)
    const [gone, heir] = [node.pod(), node.pod()]
    for (const pod of [gone, heir]) network.connect(pod)
    portmap.map(gone, [tcp(80), tcp(81)], [first])
    expect(portmap.add(heir, [tcp(80)], [address]).error?.code, "while it is there").toBe(102)
    gone.ip("link", "del", "eth0")
    heir.ip("addr", "replace", address, "dev", "eth0")
    portmap.map(heir, [tcp(80)], [address])
    const to = address.replace("/24", ":80")
    expect(rules(node, "hostports")).toEqual([`tcp dport 80 dnat to ${to} comment "${heir.containerId}"`])
    expect(rules(node, "masquerading")).toHaveLength(2)
  })
})

test("a pod that lives keeps its ports, though its network's pods hung on no veth when it was added", () => {
  using node = new Node()
  const portmap = new Portmap(node)
  const [living, other] = [node.pod(), node.pod()]
  living.ip("addr", "add", "172.29.79.2/24", "dev", "lo") // as with macvlan nothing of it is on the host
  portmap.map(living, [tcp(80)], ["172.29.79.2/24"])
  new Network(node, { ipam: hostLocal(node, ["172.29.80.0/24"]) }).connect(other)
  expect(portmap.add(other, [tcp(80)], ["172.29.80.2/24"]).error?.code).toBe(102)
  living.ip("addr", "del", "172.29.79.2/24", "dev", "lo")
  portmap.map(other, [tcp(80)], ["172.29.80.2/24"])
})

describe("a pod that lives keeps its ports, though its veth has not the computed name", () => {
  test.each<[string, (network: Network, pod: Pod) => void]>([
    ["since the Go plugin made it", (network, pod) => network.as("reference").connect(pod)],
    ["since it was renamed", (network, pod) => rename(network.node, network.connect(pod).interfaces?.[1]?.name ?? "")],
  ])("%s", (_, connect) => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const portmap = new Portmap(node)
    const [living, other] = [node.pod(), node.pod()]
    connect(network, living)
    portmap.map(living, [tcp(80)], ["10.244.1.2/24"])
    network.connect(other)
    expect(portmap.add(other, [tcp(80)], ["10.244.1.3/24"]).error?.code).toBe(102)
    expect(portmap.check(living, [tcp(80)], ["10.244.1.2/24"])).toMatchObject(QUIET)
  })

  function rename(node: Node, veth: string): void {
    for (const change of ["down", "name renamed0", "up"]) {
      const name = change === "up" ? "renamed0" : veth
      output(node.inside(["ip", "link", "set", name, ...change.split(" ")]))
    }
  }
})

describe("the sets that tell what is taken", () => {
  test("are no obstacle where the Go plugin, or an administrator, removed rules behind them", () => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.map(one, [tcp(80)], ONE)
    expect(portmap.as("reference").del(one, { ports: [tcp(80)] })).toMatchObject(QUIET)
    portmap.map(two, [tcp(80)], TWO)
    nft(node, "flush chain ip cni_hostport hostports")
    portmap.map(one, [tcp(80)], ONE)
    expect(rules(node, "hostports")).toHaveLength(1)
  })

  test("know of what the Go plugin added since", () => {
    using node = new Node()
    const pods = [1, 2, 3].map(() => node.pod())
    const [one, two, three] = pods
    if (!one || !two || !three) throw new Error("three pods")
    const portmap = new Portmap(node)
    portmap.map(one, [tcp(80)], ONE)
    portmap.as("reference").map(two, [tcp(81)], TWO)
    portmap.map(three, [tcp(82)], ["10.1.0.4/24"])
    expect(portmap.add(three, [tcp(81)], ["10.1.0.4/24"]).error).toMatchObject({ code: 102 })
    expect(portmap.del(two)).toMatchObject(QUIET)
    portmap.map(three, [tcp(81)], ["10.1.0.4/24"])
    expect(rules(node, "hostports")).toHaveLength(2)
  })
})
