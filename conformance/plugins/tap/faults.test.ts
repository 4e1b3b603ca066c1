import { describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { install } from "../../lab/foreign.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output, run } from "../../lab/run.ts"
import { type Config, DUAL, hostLocal, leased, leases } from "../bridge/network.ts"
import { tap } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

function linksIn(pod: Pod): (string | undefined)[] {
  return pod.ip("link", "show").map(({ ifname }) => ifname)
}

describe("a failed ADD leaves neither tap nor lease (the reference's leaves the tap)", () => {
  const full = { subnet: "10.244.1.0/30", rangeStart: "10.244.1.1", rangeEnd: "10.244.1.1", gateway: "10.244.1.1" }
  const causes: Readonly<Record<string, [config: (node: Node) => Config, msg: string]>> = {
    "IPAM has no address left": [(node) => ({ ipam: hostLocal(node, [], { ranges: [[full]] }) }), "no IP addresses"],
    "IPAM gives no address": [() => ({ ipam: { type: "foreign" } }), "IPAM plugin returned missing IP config"],
    "a route's gateway cannot be reached": [
      (node) => ({ ipam: hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] }) }),
      "route",
    ],
    "the bridge is missing": [() => ({ bridge: "br0" }), "br0"],
  }

  test.each(Object.entries(causes))("where %s", (_, [config, msg]) => {
    using node = new Node()
    const script = 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true'
    const directory = install(node, "plugins", script)
    const attempt = (implementation: Implementation) => {
      const pod = node.pod()
      const path = `${binDirectory(implementation)}:${directory}`
      const { error } = tap(node, config(node), implementation).add(pod, { path })
      expect(error?.msg).toContain(msg)
      return { links: linksIn(pod), code: error?.code, leases: leased(node) }
    }
    const ours = attempt("ours")
    expect(ours).toMatchObject({ links: ["lo"], leases: [] })
    expect(ours.code).not.toBe(999)
    expect(attempt("reference").links).toEqual(["lo", "eth0"])
  })
})

test("mac and mtu count also with owner and group (the reference forgets them)", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { owner: 1, group: 1, mac: "02:00:00:00:00:11", mtu: 1400 }, implementation).connect(pod)
    const { address, mtu } = pod.link("eth0") ?? {}
    return [address === "02:00:00:00:00:11", mtu]
  }
  expect(BOTH.map(look)).toEqual([
    [true, 1400],
    [false, 1500],
  ])
})

test("a second ADD is refused and leaves nothing (the reference's succeeds, and leaves a tap under another name)", () => {
  using node = new Node()
  const again = (implementation: Implementation) => {
    const pod = node.pod()
    const network = tap(node, {}, implementation)
    network.connect(pod)
    return [network.add(pod).error?.code, linksIn(pod).length]
  }
  expect(BOTH.map(again)).toEqual([
    [102, 2],
    [undefined, 3],
  ])
})

test("an interface of another kind is neither taken over by ADD nor removed by DEL (the reference does both)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    const network = tap(node, {}, implementation)
    const { exitCode } = network.add(pod)
    expect(network.del(pod)).toMatchObject(QUIET)
    return [exitCode, linksIn(pod).includes("eth0")]
  }
  expect(BOTH.map(attempt)).toEqual([
    [1, true],
    [0, false],
  ])
})

test("no `ip` has to be on the node (the reference starts it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const call = { command: "ADD", netns: node.pod(), config: tap(node).config }
    const argv = node.inside([
      "env",
      "-i",
      ...Object.entries({ ...environment(call), PATH: "/none" }).map(([key, value]) => `${key}=${value}`),
      `${binDirectory(implementation)}/tap`,
    ])
    return outcome(run(argv, { stdin: stdin(call) })).exitCode
  }
  expect(BOTH.map(attempt)).toEqual([0, 1])
})

test("IPv6 addresses are usable at once (the reference waits five seconds for a carrier and leaves them tentative)", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { ipam: hostLocal(node, DUAL) }, implementation).connect(pod)
    const addresses = pod.ip("-6", "addr", "show", "dev", "eth0").flatMap(({ addr_info }) => addr_info ?? [])
    return addresses.map(({ local, tentative = false }) => [local, tentative])
  }
  expect(BOTH.map(look)).toEqual([[["fd00:10:244:1::2", false]], [["fd00:10:244:1::3", true]]])
})

test("DEL of another network spares it; DEL spares a tap that an ADD of another attachment has not finished", () => {
  using node = new Node()
  const network = tap(node, { ipam: hostLocal(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.as("ours", { name: "other", ipam: undefined }).del(pod)).toMatchObject(QUIET)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  pod.ip("link", "set", "eth0", "alias", "cni-ts012345678") // a temporary name, computed from its attachment
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(linksIn(pod)).toEqual(["lo", "eth0"])
})

test("DEL needs neither namespace, nor a config that makes sense, nor an ADD before it", () => {
  using node = new Node()
  const network = tap(node, { ipam: hostLocal(node) })
  const [never, gone, odd] = [node.pod(), node.pod(), node.pod()]
  expect(network.del(never)).toMatchObject(QUIET)
  network.connect(gone)
  expect(network.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
  network.connect(odd)
  const config = { owner: "x", mtu: -1, bridge: "none", selinuxContext: "a:b:c:s0" }
  expect(network.del(odd, { config })).toMatchObject(QUIET)
  expect([linksIn(odd), leases(node)]).toEqual([["lo"], []])
})

test("GC frees the leases of attachments that are no longer valid", () => {
  using node = new Node()
  const network = tap(node, { ipam: hostLocal(node) })
  const [kept, stale] = [node.pod(), node.pod()]
  const result = network.connect(kept)
  network.connect(stale)
  expect(network.gc([kept])).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.244.1.2"])
  expect(network.check(kept, result)).toMatchObject(QUIET)
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
      "interface eth0 is not a tun but veth",
    ],
    "its MAC address is another": [
      (pod) => inPod(pod, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
    ],
    "an address is missing": [
      (pod) => inPod(pod, "ip", "addr", "flush", "dev", "eth0"),
      "address 10.244.1.2/24 is missing on eth0",
    ],
    "a route is missing": [
      (pod) => inPod(pod, "ip", "route", "del", "10.5.0.0/16"),
      "route 10.5.0.0/16 of eth0 is missing",
    ],
    "the lease is gone": [(_, node) => void node.run("rm", `${node.dir}/ipam/net/10.244.1.2`), "host-local"],
  }

  test.each(Object.entries(faults))("%s", (_, [harm, msg]) => {
    using node = new Node()
    const network = tap(node, { ipam: hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "10.5.0.0/16" }] }) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    harm(pod, node)
    expect(network.check(pod, result).error?.msg).toContain(msg)
  })

  test("it is a tun", () => {
    using node = new Node()
    const network = tap(node)
    const pod = node.pod()
    inPod(pod, "ip", "tuntap", "add", "mode", "tun", "name", "eth0")
    const result = { cniVersion: "1.1.0", interfaces: [{ name: "eth0", mac: "", sandbox: pod.path }] }
    expect(network.check(pod, result).error?.msg).toBe("interface eth0 is not a tap but a tun")
  })
})

describe("ADD is refused", () => {
  const cases: [string, Config, number, string][] = [
    ["for an SELinux context", { selinuxContext: "a:b:c:s0" }, 2, "unsupported field: selinuxContext: a:b:c:s0"],
    ["for an mtu below 0", { mtu: -1 }, 7, "mtu: -1 is not between"],
    ["for an mtu that no tap can have", { mtu: 65_535 }, 100, "mtu"],
    ["for a MAC address that is none", { mac: "x" }, 7, 'mac: "x" is not a MAC address'],
    ["for a MAC address of a group", { mac: "01:00:00:00:00:01" }, 100, "change link eth0"],
    ["for an owner that is no number", { owner: "root" }, 6, "owner: expected"],
    ["for a negative group", { group: -1 }, 7, "group: -1 is not between"],
    ["for the owner who is nobody", { owner: 4_294_967_295 }, 7, "owner: 4294967295 is not between"],
    ["for a bridge that is none", { bridge: "lo" }, 100, "change link eth0"],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]

  test.each(cases)("%s", (_, config, code, msg) => {
    using node = new Node()
    const pod = node.pod()
    expect(tap(node, config).add(pod).error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect(linksIn(pod)).toEqual(["lo"])
  })

  test("for an interface that the pod has", () => {
    using node = new Node()
    const pod = node.pod()
    expect(tap(node).add(pod, { ifname: "lo" }).error).toMatchObject({ code: 102 })
    expect(linksIn(pod)).toEqual(["lo"])
  })
})
