import { describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { install } from "../../lab/foreign.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, leased, leases } from "../bridge/network.ts"
import { macvlan, OUTSIDE, ofLan, plugIn } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

function linksIn(pod: Pod): (string | undefined)[] {
  return pod.ip("link", "show").map(({ ifname }) => ifname)
}

describe("a failed ADD leaves neither macvlan nor lease (the reference's leaves the macvlan)", () => {
  const full = { subnet: "10.20.0.0/24", rangeStart: OUTSIDE, rangeEnd: OUTSIDE, gateway: OUTSIDE }
  const causes: Readonly<Record<string, [config: (node: Node) => Config, msg: string]>> = {
    "IPAM has no address left": [(node) => ({ ipam: ofLan(node, { ranges: [[full]] }) }), "no IP addresses available"],
    "IPAM gives no address": [() => ({ ipam: { type: "foreign" } }), "IPAM plugin returned missing IP config"],
    "a route's gateway cannot be reached": [
      (node) => ({ ipam: ofLan(node, { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] }) }),
      "add route",
    ],
  }

  test.each(Object.entries(causes))("where %s", (_, [config, msg]) => {
    using node = new Node()
    plugIn(node)
    const script = 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true'
    const directory = install(node, "plugins", script)
    const attempt = (implementation: Implementation) => {
      const pod = node.pod()
      const path = `${binDirectory(implementation)}:${directory}`
      const { error } = macvlan(node, config(node), implementation).add(pod, { path })
      expect(error?.msg).toContain(msg)
      return { links: linksIn(pod), code: error?.code, leases: leased(node) }
    }
    const ours = attempt("ours")
    expect(ours).toMatchObject({ links: ["lo"], leases: [] })
    expect(ours.code).not.toBe(999)
    expect(attempt("reference").links).toEqual(["lo", "eth0"])
  })
})

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () => {
  using node = new Node()
  plugIn(node)
  const network = macvlan(node, { ipam: ofLan(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.add(pod).error).toMatchObject({ code: 102, msg: expect.stringContaining("already exists in the pod") })
  expect(network.as("ours", { name: "other", ipam: undefined }).del(pod)).toMatchObject(QUIET)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.20.0.100"])
})

test("DEL spares a macvlan that an ADD of another attachment has not finished", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  node.ip("link", "add", "link", "uplink", "name", "eth0", "netns", pod.name, "type", "macvlan")
  pod.ip("link", "set", "eth0", "alias", "cni-ts012345678") // a temporary name, computed from its attachment
  expect(macvlan(node).del(pod)).toMatchObject(QUIET)
  expect(linksIn(pod)).toEqual(["lo", "eth0"])
  pod.ip("link", "set", "eth0", "alias", "")
  expect(macvlan(node).del(pod)).toMatchObject(QUIET)
  expect(linksIn(pod)).toEqual(["lo"])
})

test("DEL needs neither namespace, nor master, nor a config that makes sense, nor an ADD before it", () => {
  using node = new Node()
  plugIn(node)
  const network = macvlan(node, { ipam: ofLan(node) })
  const [never, gone, odd] = [node.pod(), node.pod(), node.pod()]
  expect(network.del(never)).toMatchObject(QUIET)
  network.connect(gone)
  expect(network.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
  network.connect(odd)
  expect(network.del(odd, { config: { master: "eth9", mode: "x", mtu: -1 } })).toMatchObject(QUIET)
  expect([linksIn(odd), leases(node)]).toEqual([["lo"], []])
})

test("DEL succeeds where the master was removed, and the macvlan with it", () => {
  using node = new Node()
  plugIn(node)
  const network = macvlan(node, { ipam: ofLan(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  node.ip("link", "del", "uplink")
  expect(network.check(pod, result).exitCode).toBe(1)
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
})

test("GC frees the leases of attachments that are no longer valid", () => {
  using node = new Node()
  plugIn(node)
  const network = macvlan(node, { ipam: ofLan(node) })
  const [kept, stale] = [node.pod(), node.pod()]
  network.connect(kept)
  network.connect(stale)
  expect(network.gc([kept])).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.20.0.100"])
  expect(kept.pings(OUTSIDE)).toBe(true)
})

describe("CHECK fails when", () => {
  const inPod = (pod: Pod, ...argv: string[]) => void output(pod.inside(argv))
  const faults: Readonly<Record<string, [harm: (pod: Pod, node: Node) => void, msg: string]>> = {
    "the interface is gone": [(pod) => inPod(pod, "ip", "link", "del", "eth0"), "interface eth0 is gone"],
    "it is another kind": [
      (pod) => {
        inPod(pod, "ip", "link", "del", "eth0")
        inPod(pod, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "x")
      },
      "interface eth0 is not a macvlan but veth",
    ],
    "its MAC address is another": [
      (pod) => inPod(pod, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
    ],
    "an address is missing": [
      (pod) => inPod(pod, "ip", "addr", "flush", "dev", "eth0"),
      "address 10.20.0.100/24 is missing",
    ],
    "a route is missing": [
      (pod) => inPod(pod, "ip", "route", "del", "10.5.0.0/16"),
      "route 10.5.0.0/16 of eth0 is missing",
    ],
    "it is on another master": [
      (_, node) => {
        node.ip("link", "set", "uplink", "down")
        node.ip("link", "set", "uplink", "name", "old")
        node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "y")
      },
      "eth0 is not on uplink",
    ],
    "the lease is gone": [(_, node) => void node.run("rm", `${node.dir}/ipam/net/10.20.0.100`), "host-local"],
  }

  test.each(Object.entries(faults))("%s", (_, [harm, msg]) => {
    using node = new Node()
    plugIn(node)
    const network = macvlan(node, { ipam: ofLan(node, { routes: [{ dst: "10.5.0.0/16" }] }) })
    const pod = node.pod()
    const result: Result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    harm(pod, node)
    expect(network.check(pod, result).error?.msg).toContain(msg)
  })
})

describe("ADD is refused", () => {
  const cases: [string, Config, number, string][] = [
    ["for an unknown mode", { mode: "source" }, 7, 'unknown macvlan mode: "source"'],
    ["for an mtu above the master's", { mtu: 1501 }, 7, "invalid MTU 1501, must be [0, master MTU(1500)]"],
    ["for an mtu below 0", { mtu: -1 }, 7, "mtu: -1 is not between"],
    ["for a master that is not there", { master: "eth9" }, 7, 'there is no interface "eth9" on the node'],
    ["for a master that the pod lacks", { linkInContainer: true }, 7, 'there is no interface "uplink" in the pod'],
    ["for a MAC address that is none", { mac: "x" }, 7, 'mac: "x" is not a MAC address'],
    ["for a negative bcqueuelen", { bcqueuelen: -1 }, 7, "bcqueuelen: -1 is not between"],
    ["for a master on which there can be no macvlan", { master: "lo" }, 100, "create macvlan"],
    ["for a mode that is a number", { mode: 4 }, 6, "mode: expected a string"],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]

  test.each(cases)("%s", (_, config, code, msg) => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    expect(macvlan(node, config).add(pod).error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect(linksIn(pod)).toEqual(["lo"])
  })

  test("for a master that is a port of a bridge, as busy", () => {
    using node = new Node()
    plugIn(node)
    node.ip("link", "add", "br0", "type", "bridge")
    node.ip("link", "set", "uplink", "master", "br0")
    const pod = node.pod()
    expect(macvlan(node).add(pod).error).toMatchObject({
      code: 102,
      msg: 'no macvlan can be on interface "uplink": it is a port of a bridge or bond',
    })
    expect(linksIn(pod)).toEqual(["lo"])
  })

  test("for an interface that the pod has", () => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    expect(macvlan(node).add(pod, { ifname: "lo" }).error).toMatchObject({ code: 102 })
    expect(linksIn(pod)).toEqual(["lo"])
  })
})
