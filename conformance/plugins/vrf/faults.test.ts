import { setImmediate } from "node:timers/promises"
import { expect, test } from "vitest"
import { disturb, observe } from "../../faults/injection.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { ADDRESSES, BOTH, podWith, QUIET, ROUTES, resultOf, routesIn, stateOf, tableOf, vrf } from "./network.ts"

/** The request by which ADD makes the VRF, the first that changes something. */
const FIRST_CHANGE = 6

test("routes without gateway come along, and those that need them (the reference loses the ones and fails at the others)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation, ...more: string[]) => {
    const pod = podWith(node, [...ADDRESSES, "route add 10.9.0.1 dev eth0", ...more])
    const { exitCode } = vrf(node, { prevResult: resultOf(pod) }, implementation).add(pod)
    return [exitCode, routesIn(pod, 1).filter((line) => line.startsWith("10.9"))]
  }
  expect(BOTH.map((one) => attempt(one))).toEqual([
    [0, ["10.9.0.1 dev eth0"]],
    [0, []],
  ])
  const dependent = "route add 10.90.0.0/16 via 10.9.0.1"
  expect(BOTH.map((one) => attempt(one, dependent))).toEqual([
    [0, ["10.9.0.1 dev eth0", "10.90.0.0/16 via 10.9.0.1"]],
    [1, []],
  ])
})

test("routes of other tables are still there (the reference loses them)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node, [...ADDRESSES, "route add 10.50.0.0/16 via 10.1.0.1 table 100"])
    vrf(node, { prevResult: resultOf(pod) }, implementation).connect(pod)
    return pod.ip("-4", "route", "show", "table", "all").filter(({ table }) => table === "100").length
  }
  expect(BOTH.map(attempt)).toEqual([1, 0])
})

test("an IPv6 default route that the pod's interfaces share comes along and leaves the others (the reference forgets it)", () => {
  using node = new Node()
  const both = ["addr add fd20::2/64 dev net1", "route add default via fd20::1"]
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node, [...ADDRESSES, ...both, "route append default via fd10::1"], "eth0 net1")
    vrf(node, { prevResult: resultOf(pod) }, implementation).connect(pod)
    return [routesIn(pod, 1), routesIn(pod, "main")].map((routes) =>
      routes.filter((line) => line.startsWith("default")),
    )
  }
  expect(BOTH.map(attempt)).toEqual([
    [["default via fd10::1"], ["default via fd20::1"]],
    [[], ["default via fd10::1,fd20::1"]],
  ])
})

test("a table that has routes already is not taken for a new VRF (the reference takes it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node, [...ADDRESSES, "route add 10.50.0.0/16 via 10.1.0.1 table 1"])
    vrf(node, { prevResult: resultOf(pod) }, implementation).add(pod)
    return tableOf(pod)
  }
  expect(BOTH.map(attempt)).toEqual([2, 1])
})

test("a failed ADD leaves no VRF (the reference's leaves it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node)
    const { error } = vrf(node, { prevResult: resultOf(pod, "lo") }, implementation).add(pod, { ifname: "lo" })
    return [error !== undefined, pod.link("blue") === undefined]
  }
  expect(BOTH.map(attempt)).toEqual([
    [true, true],
    [true, false],
  ])
})

test("DEL succeeds when the interface is gone already (the reference's fails while another is in the VRF)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node, ADDRESSES, "eth0 net1")
    const network = vrf(node, { prevResult: resultOf(pod) }, implementation)
    network.connect(pod)
    network.connect(pod, { ifname: "net1" })
    pod.ip("link", "del", "eth0")
    return [network.del(pod).exitCode, pod.link("net1")?.master]
  }
  expect(BOTH.map(attempt)).toEqual([
    [0, "blue"],
    [1, "blue"],
  ])
})

test("DEL takes no interface from another VRF or bridge (the reference does)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = podWith(node, [
      "link add blue type vrf table 5",
      "link add br0 type bridge",
      "link set eth0 master br0",
    ])
    const network = vrf(node, { prevResult: resultOf(pod) }, implementation)
    expect(network.add(pod).error?.msg).toContain("interface eth0 has already a master set: br0")
    expect(network.del(pod)).toMatchObject(QUIET)
    return pod.link("eth0")?.master
  }
  expect(BOTH.map(attempt)).toEqual(["br0", undefined])
})

test("DEL succeeds without a `vrfname` that makes sense (the reference's fails), without namespace, and without an ADD before it", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const network = vrf(node, {}, implementation)
    const names = [undefined, 1, "v".repeat(200)]
    const codes = names.map((vrfname) => network.del(podWith(node), { config: { vrfname } }).exitCode)
    return [...codes, network.del(podWith(node)).exitCode, network.ask("DEL", "").exitCode]
  }
  expect(BOTH.map(attempt)).toEqual([
    [0, 0, 0, 0, 0],
    [1, 1, 1, 0, 0],
  ])
})

test("DEL spares an interface whose MAC address says that it is another pod's, unless an address says that it is not", () => {
  using node = new Node()
  const pod = podWith(node)
  const prevResult = resultOf(pod)
  vrf(node, { prevResult }).connect(pod)
  pod.ip("link", "set", "eth0", "address", "02:00:00:00:00:55")
  expect(vrf(node, { prevResult }).del(pod)).toMatchObject(QUIET)
  expect(pod.link("eth0")?.master).toBe("blue")
  const ips = [{ address: "10.1.0.2/24", interface: 0 }] // as after the DEL of tuning, which sets the MAC address back
  expect(vrf(node, { prevResult: { ...prevResult, ips } }).del(pod)).toMatchObject(QUIET)
  expect(pod.link("eth0")?.master).toBeUndefined()
})

test("CHECK finds each fault (the reference only that the interface is in no VRF)", () => {
  using node = new Node()
  const pod = podWith(node)
  const network = vrf(node, { prevResult: resultOf(pod) })
  const result = network.connect(pod)
  const both = () => BOTH.map((one) => network.as(one).check(pod, result).error?.msg)
  pod.ip("link", "set", "blue", "down")
  expect(both()).toEqual(["VRF blue is down", undefined])
  pod.ip("link", "set", "blue", "up")
  pod.ip("link", "set", "eth0", "nomaster")
  expect(both()).toEqual(["interface eth0 is not in VRF blue", expect.any(String)])
  pod.ip("link", "del", "eth0")
  expect(both()[0]).toBe(`interface eth0 is gone from ${pod.path}`)
  pod.ip("link", "del", "blue")
  expect(both()).toEqual([`VRF blue is gone from ${pod.path}`, expect.any(String)])
})

test("ADD is refused for an interface that is not there, a name that is another link's, no name, no result", () => {
  using node = new Node()
  const pod = podWith(node)
  const before = stateOf(pod)
  const error = (config: Config, ifname = "eth0") =>
    vrf(node, { prevResult: resultOf(pod), ...config }).add(pod, { ifname }).error
  expect(error({}, "eth9")).toMatchObject({ code: 102, msg: `there is no interface eth9 in ${pod.path}` })
  expect(error({ vrfname: "lo" })).toMatchObject({ code: 7, msg: expect.stringContaining("that is no VRF") })
  expect(error({ vrfname: "" })).toMatchObject({ code: 7, msg: expect.stringContaining("vrfname") })
  for (const vrfname of ["v".repeat(16), "v/1", "v%d"]) {
    expect(error({ vrfname })).toMatchObject({ code: 7, msg: expect.stringContaining("vrfname: interface name") })
  }
  expect(error({ table: -1 })).toMatchObject({ code: 7, msg: expect.stringContaining("table") })
  expect(error({ prevResult: undefined })).toMatchObject({ code: 7, msg: expect.stringContaining("prevResult") })
  expect(stateOf(pod)).toEqual(before)
})

test("a refusal of the kernel makes ADD fail and leave the pod as it was; of a killed ADD, DEL leaves nothing", async () => {
  using node = new Node()
  const pod = podWith(node, [...ADDRESSES, ...ROUTES])
  const before = stateOf(pod)
  const network = vrf(node, { prevResult: resultOf(pod) })
  const call = { command: "ADD", netns: pod, config: network.config }
  const count = observe(node, "vrf", call).points.filter(({ name }) => name === "sendto").length
  expect(network.del(pod)).toMatchObject(QUIET)
  const disturbed = (nth: number, happens: string) => disturb(node, "vrf", call, { name: "sendto", nth, happens })
  for (let nth = FIRST_CHANGE; nth <= count; nth += 2) {
    const refused = disturbed(nth, "error=ENOMEM")
    expect([nth, refused?.exitCode, stateOf(pod)]).toEqual([nth, 1, before])
    await setImmediate() // lets the test runner hear from us
  }
  for (let nth = FIRST_CHANGE + 1; nth <= count; nth += 3) {
    expect(disturbed(nth, "signal=KILL")).toBeUndefined()
    expect([nth, network.del(pod).exitCode, pod.link("blue")]).toEqual([nth, 0, undefined])
    pod.run("sh", "-c", `ip -force -batch - <<'end'\n${ROUTES.join("\n")}\nend`)
    expect([nth, stateOf(pod)]).toEqual([nth, before])
    await setImmediate()
  }
}, 300_000)
