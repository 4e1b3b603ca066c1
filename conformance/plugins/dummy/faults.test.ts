import { describe, expect, test } from "vitest"
import { disturb } from "../../faults/injection.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { install } from "../../lab/foreign.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, hostLocal, leased, leases } from "../bridge/network.ts"
import { dummy } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

function linksIn(pod: Pod): (string | undefined)[] {
  return pod.ip("link", "show").map(({ ifname }) => ifname)
}

describe("a failed ADD leaves neither dummy nor lease", () => {
  const full = { subnet: "10.244.1.0/30", rangeStart: "10.244.1.1", rangeEnd: "10.244.1.1", gateway: "10.244.1.1" }
  const far = [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }]
  const causes: Readonly<Record<string, [config: (node: Node) => Config, msg: string]>> = {
    "IPAM has no address left": [(node) => ({ ipam: hostLocal(node, [], { ranges: [[full]] }) }), "no IP addresses"],
    "a route's gateway cannot be reached": [
      (node) => ({ ipam: hostLocal(node, ["10.244.1.0/24"], { routes: far }) }),
      "add route",
    ],
  }

  test.each(Object.entries(causes))("where %s", (_, [config, msg]) => {
    using node = new Node()
    const pod = node.pod()
    const { error } = dummy(node, config(node)).add(pod)
    expect(error).toMatchObject({ msg: expect.stringContaining(msg) })
    expect([linksIn(pod), leased(node)]).toEqual([["lo"], []])
  })

  test("where IPAM gives no address (the reference's leaves the dummy)", () => {
    using node = new Node()
    const directory = install(node, "plugins", 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true')
    const attempt = (implementation: Implementation) => {
      const pod = node.pod()
      const path = `${binDirectory(implementation)}:${directory}`
      const { error } = dummy(node, { ipam: { type: "foreign" } }, implementation).add(pod, { path })
      expect(error?.msg).toBe("IPAM plugin returned missing IP config")
      return linksIn(pod)
    }
    expect(BOTH.map(attempt)).toEqual([["lo"], ["lo", "eth0"]])
  })
})

test("DEL of an interface of another kind spares it (the reference removes it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    expect(dummy(node, {}, implementation).del(pod)).toMatchObject(QUIET)
    return linksIn(pod).includes("eth0")
  }
  expect(BOTH.map(attempt)).toEqual([true, false])
})

test("DEL without IPAM succeeds (the reference's fails)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) =>
    dummy(node, { ipam: undefined }, implementation).del(node.pod()).exitCode
  expect(BOTH.map(attempt)).toEqual([0, 1])
})

test("CHECK finds a route that is missing (the reference does not look)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    const ipam = hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "10.5.0.0/16" }] })
    const network = dummy(node, { ipam }, implementation)
    const result = network.connect(pod)
    pod.ip("route", "del", "10.5.0.0/16")
    return network.check(pod, result).error?.msg
  }
  expect(BOTH.map(attempt)).toEqual(["route 10.5.0.0/16 of eth0 is missing or goes another way", undefined])
})

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () => {
  using node = new Node()
  const network = dummy(node)
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.add(pod).error).toMatchObject({ code: 102, msg: expect.stringContaining("already exists in the pod") })
  expect(network.as("ours", { name: "other" }).del(pod)).toMatchObject(QUIET)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.244.1.2"])
})

test.each([
  ["before it has the pod's name", 2],
  ["before it has an address", 4],
  ["before it has its alias", 6],
])("what an ADD left that was killed %s is replaced by the next, and removed by DEL", (_, nth) => {
  using node = new Node()
  const network = dummy(node)
  const pod = node.pod()
  const call = { command: "ADD", netns: pod, config: network.config }
  const kill = () => disturb(node, "dummy", call, { name: "sendto", nth, happens: "signal=KILL" })
  expect(kill()).toBeUndefined()
  expect([network.add(pod).exitCode, linksIn(pod)]).toEqual([0, ["lo", "eth0"]])
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(kill()).toBeUndefined()
  expect(network.del(pod)).toMatchObject(QUIET)
  expect([linksIn(pod), leases(node)]).toEqual([["lo"], []])
})

test("DEL needs neither namespace, nor an ADD before it; GC frees the leases of attachments that are no longer valid", () => {
  using node = new Node()
  const network = dummy(node)
  const [never, gone, kept, stale] = [node.pod(), node.pod(), node.pod(), node.pod()]
  expect(network.del(never)).toMatchObject(QUIET)
  network.connect(gone)
  expect(network.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
  network.connect(kept)
  network.connect(stale)
  expect(network.gc([kept])).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.244.1.3"])
})

describe("CHECK fails when", () => {
  const inPod = (pod: Pod, ...argv: string[]) => void output(pod.inside(argv))
  const faults: Readonly<Record<string, [harm: (pod: Pod) => void, msg: string]>> = {
    "the interface is gone": [(pod) => inPod(pod, "ip", "link", "del", "eth0"), "interface eth0 is gone"],
    "it is another kind": [
      (pod) => {
        inPod(pod, "ip", "link", "del", "eth0")
        inPod(pod, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "x")
      },
      "interface eth0 is not a dummy but veth",
    ],
    "its MAC address is another": [
      (pod) => inPod(pod, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
    ],
    "it is down": [(pod) => inPod(pod, "ip", "link", "set", "eth0", "down"), "interface eth0 is down"],
    "an address is missing": [
      (pod) => inPod(pod, "ip", "addr", "flush", "dev", "eth0"),
      "address 10.244.1.2/24 is missing on eth0",
    ],
  }

  test.each(Object.entries(faults))("%s", (_, [harm, msg]) => {
    using node = new Node()
    const network = dummy(node)
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    harm(pod)
    expect(network.check(pod, result).error?.msg).toContain(msg)
  })
})

test.each<[string, Config, number, string]>([
  ["without IPAM", { ipam: undefined }, 7, "a dummy interface requires an IPAM configuration"],
  ["with an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
])("ADD is refused %s", (_, config, code, msg) => {
  using node = new Node()
  const pod = node.pod()
  expect(dummy(node, config).add(pod).error).toMatchObject({ code, msg: expect.stringContaining(msg) })
  expect(linksIn(pod)).toEqual(["lo"])
})
