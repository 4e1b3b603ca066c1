import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { snapshot } from "../../lab/snapshot.ts"
import type { Config } from "../bridge/network.ts"
import { BEYOND, BEYOND6, podOfTwo, QUIET, routesIn, rules, Sbr, told, V4, V6, wayOf } from "./network.ts"

const MAIN = ["10.0.0.0/24 dev eth0 src 10.0.0.2 scope link proto kernel", "default via 10.0.0.1 dev eth0"]
const MAIN6 = ["default via fd00::1 dev eth0 metric 1024", "fd00::/64 dev eth0 metric 256 proto kernel"]

test("packets from net1's addresses leave by net1, all others by eth0, in both families", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod)
  const { result, stderr, exitCode } = sbr.call("ADD")
  expect([exitCode, stderr, result]).toEqual([0, "", told(pod)])
  expect(rules(pod)).toEqual(["192.168.1.209 to 100", "fd01::209 to 101"])
  expect(routesIn(pod, "100")).toEqual([
    "192.168.1.0/24 dev net1 src 192.168.1.209 scope link proto kernel",
    "default via 192.168.1.1 dev net1",
  ])
  expect(routesIn(pod, "101")).toEqual([
    "default via fd01::1 dev net1 metric 1024",
    "fd01::/64 dev net1 metric 256 proto kernel",
  ])
  expect(routesIn(pod, "main", ["-4"])).toEqual(MAIN)
  expect(routesIn(pod, "main", ["-6"])).toEqual(MAIN6)
  expect(wayOf(pod, "192.168.1.209", BEYOND)).toBe("net1 via 192.168.1.1")
  expect(wayOf(pod, "10.0.0.2", BEYOND)).toBe("eth0 via 10.0.0.1")
  expect(wayOf(pod, "fd01::209", BEYOND6)).toBe("net1 via fd01::1")
  expect(wayOf(pod, "fd00::2", BEYOND6)).toBe("eth0 via fd00::1")
  for (const [from, to] of [
    ["192.168.1.209", BEYOND],
    ["10.0.0.2", BEYOND],
    ["fd01::209", BEYOND6],
    ["fd00::2", BEYOND6],
  ] as const) {
    expect(pod.run("ping", "-n", "-c1", "-W2", "-I", from, to).exitCode, from).toBe(0)
  }
  expect(sbr.call("CHECK")).toMatchObject(QUIET)
  expect(sbr.call("DEL")).toMatchObject(QUIET)
  expect(rules(pod)).toEqual([])
})

test("each address of net1 has a table of its own, with the routes of its network", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  pod.ip("addr", "add", "192.168.101.209/24", "dev", "net1")
  pod.ip("route", "add", "10.5.0.0/16", "via", "192.168.101.7")
  const ips = [V4, { address: "192.168.101.209/24", gateway: "192.168.101.1" }]
  const sbr = new Sbr(node, pod, { prevResult: told(pod, ips) })
  expect(sbr.call("ADD").exitCode).toBe(0)
  expect(rules(pod).sort()).toEqual(["192.168.1.209 to 100", "192.168.101.209 to 101"])
  expect(routesIn(pod, "100", ["-4"])).toEqual([
    "192.168.1.0/24 dev net1 src 192.168.1.209 scope link proto kernel",
    "default via 192.168.1.1 dev net1",
  ])
  expect(routesIn(pod, "101", ["-4"])).toEqual([
    "10.5.0.0/16 via 192.168.101.7 dev net1",
    "192.168.101.0/24 dev net1 src 192.168.101.209 scope link proto kernel",
    "default via 192.168.101.1 dev net1",
  ])
  expect(sbr.call("CHECK")).toMatchObject(QUIET)
})

test("without a gateway, what the interface has no route to goes by eth0", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod, { prevResult: told(pod, [{ address: V4.address }]) })
  expect(sbr.call("ADD").exitCode).toBe(0)
  expect(routesIn(pod, "100")).toEqual(["192.168.1.0/24 dev net1 src 192.168.1.209 scope link proto kernel"])
  expect(wayOf(pod, "192.168.1.209", "192.168.1.9")).toBe("net1")
  expect(wayOf(pod, "192.168.1.209", BEYOND)).toBe("eth0 via 10.0.0.1")
  expect(sbr.call("CHECK")).toMatchObject(QUIET)
})

test("a route keeps all that it says: metric, source, limits, type of service, preference", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  for (const route of [
    ["10.5.0.0/16", "via", "192.168.1.7", "metric", "5", "mtu", "1400", "advmss", "1300", "src", "192.168.1.209"],
    ["10.6.0.0/16", "via", "192.168.1.7", "tos", "0x10", "proto", "static"],
    ["10.7.0.0/16", "scope", "link", "dev", "net1", "window", "1000"],
    ["fd09::/48", "via", "fd01::7", "metric", "7", "pref", "high", "mtu", "1400"],
  ]) {
    pod.ip("route", "add", ...route, "dev", "net1")
  }
  const moving = (from: string) =>
    ["-4", "-6"]
      .flatMap((family) => pod.ip("-d", family, "route", "show", "table", "all"))
      .filter(({ dst, table = "main" }) => /^(10\.[567]\.|fd09:)/.test(`${dst}`) && from.includes(`${table}`))
      .map(({ table: _, ...route }) => route)
  const before = moving("main")
  expect(new Sbr(node, pod).call("ADD").exitCode).toBe(0)
  expect([moving("main"), moving("100, 101")]).toEqual([[], before])
  expect(before).toHaveLength(4)
})

test("a second interface takes the next table, and each DEL removes its own rules", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const first = { ...told(pod, [{ address: "10.0.0.2/24", gateway: "10.0.0.1" }]), interfaces: [{ name: "eth0" }] }
  const sbr = new Sbr(node, pod)
  expect(sbr.call("ADD").exitCode).toBe(0)
  const ofEth0 = { ifname: "eth0", config: { prevResult: first } }
  expect(sbr.add(pod, ofEth0).exitCode).toBe(0)
  expect(rules(pod)).toEqual(["10.0.0.2 to 102", "192.168.1.209 to 100", "fd01::209 to 101"])
  expect(sbr.call("DEL")).toMatchObject(QUIET)
  expect(rules(pod)).toEqual(["10.0.0.2 to 102"])
  expect(sbr.ask("CHECK", pod, ofEth0)).toMatchObject(QUIET)
  expect(wayOf(pod, "10.0.0.2", BEYOND)).toBe("eth0 via 10.0.0.1")
})

test("ADDs of several interfaces of a pod at once never take the same table", async () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const names = Array.from({ length: 6 }, (_, at) => `net${at + 2}`)
  for (const [at, name] of names.entries()) {
    pod.ip("link", "add", name, "type", "veth", "peer", "name", `far${at}`)
    pod.ip("link", "set", name, "up")
    pod.ip("addr", "add", `10.9.${at}.2/24`, "dev", name)
  }
  const { config } = new Sbr(node, pod)
  const calls = names.map((ifname, at) => {
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: `10.9.${at}.2/24` }] }
    return node.callAsync("sbr", { command: "ADD", netns: pod, ifname, config: { ...config, prevResult } })
  })
  expect((await Promise.all(calls)).map(({ exitCode }) => exitCode)).toEqual(names.map(() => 0))
  const tables = rules(pod).map((rule) => rule.replace(/.* to /, ""))
  expect(tables.sort()).toEqual(["100", "101", "102", "103", "104", "105"])
})

describe("with a table that others fill", () => {
  test.each([1, 5000, 0xffffffff])("%i: the addresses are led there, and no route is moved", (table) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const before = [routesIn(pod, "main"), routesIn(pod, "100")]
    const sbr = new Sbr(node, pod, { table })
    for (const _ of [1, 2]) expect(sbr.call("ADD").exitCode).toBe(0)
    expect(rules(pod)).toEqual([`192.168.1.209 to ${table}`, `fd01::209 to ${table}`])
    expect([routesIn(pod, "main"), routesIn(pod, "100")]).toEqual(before)
    expect(sbr.call("CHECK")).toMatchObject(QUIET)
    expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual([])
  })

  test("DEL leaves rules to other tables", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod, { table: 5000 })
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("rule", "add", "from", "192.168.1.209", "table", "300")
    expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual(["192.168.1.209 to 300"])
  })
})

describe("ADD is refused, and leaves the pod as it was:", () => {
  const CASES: [string, Config, number, string][] = [
    ["without a result of a plugin before", { prevResult: null }, 7, "must be called as chained plugin"],
    ["without an address", { prevResult: { cniVersion: "1.1.0" } }, 7, "No IP addresses supplied on interface: net1"],
    ["with table 0", { table: 0 }, 7, "table: 0 is not between 1 and 4294967295"],
    ["with a negative table", { table: -1 }, 7, "table: -1 is not between"],
    ["with a table that the kernel has no room for", { table: 4294967296 }, 7, "table: 4294967296 is not between"],
    ["with a table that is text", { table: "100" }, 6, "table: expected a whole number"],
  ]

  test.each(CASES)("%s", (_, config, code, msg) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const before = snapshot(node)
    const { error } = new Sbr(node, pod, config).call("ADD")
    expect(error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect(snapshot(node)).toEqual(before)
  })

  test("for an interface that is not there", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const before = snapshot(node)
    const prevResult = { cniVersion: "1.1.0", ips: [V4] }
    const { error } = new Sbr(node, pod, { prevResult }).add(pod, { ifname: "net9" })
    expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("there is no interface net9") })
    expect(snapshot(node)).toEqual(before)
  })

  test("with a gateway that is in no network of the interface, after the tables were filled", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const before = snapshot(node)
    const prevResult = told(pod, [V4, { ...V6, gateway: "fd99::1" }])
    const { error } = new Sbr(node, pod, { prevResult }).call("ADD")
    expect(error).toMatchObject({ code: 100, msg: expect.stringContaining("cannot add route ::/0: EHOSTUNREACH") })
    expect(snapshot(node)).toEqual(before)
  })
})

test("STATUS, VERSION and GC answer", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod)
  expect(sbr.call("ADD").exitCode).toBe(0)
  expect(sbr.ask("STATUS", undefined)).toMatchObject(QUIET)
  expect(sbr.ask("STATUS", undefined, { config: { table: 0 } }).error).toMatchObject({ code: 50 })
  expect(sbr.gc([])).toMatchObject(QUIET)
  expect(rules(pod)).toHaveLength(2) // it is in the pod, with which it goes
  expect(sbr.ask("VERSION", undefined).exitCode).toBe(0)
})

test("the node's own rules and routes are never touched", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const { pods: _, ...before } = snapshot(node)
  const sbr = new Sbr(node, pod)
  for (const command of ["ADD", "CHECK", "DEL"]) expect(sbr.call(command).exitCode).toBe(0)
  const { pods: __, ...after } = snapshot(node)
  expect(after).toEqual(before)
})
