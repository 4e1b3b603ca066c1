import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { DUAL, hostLocal, leases, Network, port } from "./network.ts"

test.each(["0.4.0", "1.0.0", "1.1.0"])(
  "CHECK of an attachment as ADD left it is silent success at %s",
  (cniVersion) => {
    using node = new Node()
    const network = new Network(node, { cniVersion, isDefaultGateway: true, ipam: hostLocal(node, DUAL) })
    const pod = node.pod()
    expect(network.check(pod, network.connect(pod))).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
  },
)

describe("CHECK", () => {
  const node = new Node()
  afterAll(() => node[Symbol.dispose]())
  const routes = [{ dst: "10.5.0.0/16", gw: "10.244.1.9" }, { dst: "10.6.0.0/16" }, { dst: "10.7.0.0/16", table: 77 }]
  const network = new Network(node, {
    isDefaultGateway: true,
    hairpinMode: true,
    portIsolation: true,
    ipam: hostLocal(node, DUAL, { routes }),
  })
  let pod: Pod
  let result: Result
  let veth: string
  beforeAll(() => {
    pod = node.pod()
    result = network.connect(pod)
    veth = port(node).ifname
  })

  const onNode = (...argv: string[]) => output(node.inside(argv))
  const inPod = (...argv: string[]) => output(pod.inside(argv))

  /** Changes, what CHECK says of each, and the way back. */
  const FAULTS: Readonly<Record<string, readonly [() => void, string, () => void]>> = {
    "an address is missing": [
      () => inPod("ip", "addr", "del", "fd00:10:244:1::2/64", "dev", "eth0"),
      "address fd00:10:244:1::2/64 is missing on eth0",
      () => inPod("ip", "addr", "add", "fd00:10:244:1::2/64", "dev", "eth0", "nodad"),
    ],
    "an address has another prefix length": [
      () => {
        inPod("ip", "addr", "del", "fd00:10:244:1::2/64", "dev", "eth0")
        inPod("ip", "addr", "add", "fd00:10:244:1::2/80", "dev", "eth0", "nodad")
      },
      "address fd00:10:244:1::2/64 is missing on eth0",
      () => {
        inPod("ip", "addr", "del", "fd00:10:244:1::2/80", "dev", "eth0")
        inPod("ip", "addr", "add", "fd00:10:244:1::2/64", "dev", "eth0", "nodad")
      },
    ],
    "the route to the address's network is missing": [
      () => inPod("ip", "route", "del", "10.244.1.0/24"),
      "route to 10.244.1.0/24 of eth0 is missing",
      () => inPod("ip", "route", "add", "10.244.1.0/24", "dev", "eth0", "proto", "kernel", "scope", "link"),
    ],
    "a route is missing": [
      () => inPod("ip", "route", "del", "10.5.0.0/16"),
      "route 10.5.0.0/16 of eth0 is missing or goes another way",
      () => inPod("ip", "route", "add", "10.5.0.0/16", "via", "10.244.1.9"),
    ],
    "a route goes by another gateway": [
      () => inPod("ip", "route", "replace", "10.5.0.0/16", "via", "10.244.1.8"),
      "route 10.5.0.0/16 of eth0 is missing or goes another way",
      () => inPod("ip", "route", "replace", "10.5.0.0/16", "via", "10.244.1.9"),
    ],
    "a route of another table is missing": [
      () => inPod("ip", "route", "flush", "table", "77"),
      "route 10.7.0.0/16 of eth0 is missing or goes another way",
      () => inPod("ip", "route", "add", "10.7.0.0/16", "via", "10.244.1.1", "table", "77"),
    ],
    "the default route is missing": [
      () => inPod("ip", "route", "del", "default"),
      "route 0.0.0.0/0 of eth0 is missing or goes another way",
      () => inPod("ip", "route", "add", "default", "via", "10.244.1.1"),
    ],
    "the pod's MAC address is another": [
      () => inPod("ip", "link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
      () => inPod("ip", "link", "set", "eth0", "address", result.interfaces?.[2]?.mac ?? ""),
    ],
    "the veth's MAC address is another": [
      () => onNode("ip", "link", "set", veth, "address", "02:00:00:00:00:55"),
      " is 02:00:00:00:00:55, not ",
      () => onNode("ip", "link", "set", veth, "address", result.interfaces?.[1]?.mac ?? ""),
    ],
    "the bridge's MAC address is another": [
      () => onNode("ip", "link", "set", "cni0", "address", "02:00:00:00:00:55"),
      "MAC address of cni0 is 02:00:00:00:00:55, not ",
      () => onNode("ip", "link", "set", "cni0", "address", result.interfaces?.[0]?.mac ?? ""),
    ],
    "the veth has left the bridge": [
      () => onNode("ip", "link", "set", veth, "nomaster"),
      "is not attached to bridge cni0",
      () => {
        onNode("ip", "link", "set", veth, "master", "cni0")
        onNode("bridge", "link", "set", "dev", veth, "hairpin", "on", "isolated", "on")
      },
    ],
    "hairpin mode is off": [
      () => onNode("bridge", "link", "set", "dev", veth, "hairpin", "off"),
      "hairpin mode of ",
      () => onNode("bridge", "link", "set", "dev", veth, "hairpin", "on"),
    ],
    "isolation is off": [
      () => onNode("bridge", "link", "set", "dev", veth, "isolated", "off"),
      "isolation of ",
      () => onNode("bridge", "link", "set", "dev", veth, "isolated", "on"),
    ],
    "the gateway's address is missing": [
      () => onNode("ip", "addr", "del", "10.244.1.1/24", "dev", "cni0"),
      "gateway address 10.244.1.1/24 is missing on cni0",
      () => onNode("ip", "addr", "add", "10.244.1.1/24", "dev", "cni0"),
    ],
    "the bridge has another name": [
      () => onNode("ip", "link", "set", "cni0", "name", "cni9"),
      "bridge cni0 is gone",
      () => onNode("ip", "link", "set", "cni9", "name", "cni0"),
    ],
    "the pod's interface has another name": [
      () => inPod("ip", "link", "set", "eth0", "name", "eth9"),
      "interface eth0 is gone",
      () => inPod("ip", "link", "set", "eth9", "name", "eth0"),
    ],
    "the veth has another name": [
      () => onNode("ip", "link", "set", veth, "name", "other"),
      "the host end of eth0 is not the one in prevResult",
      () => onNode("ip", "link", "set", "other", "name", veth),
    ],
    "the lease is gone": [
      () => onNode("mv", `${node.dir}/ipam/net/10.244.1.2`, `${node.dir}/lease`),
      "",
      () => onNode("mv", `${node.dir}/lease`, `${node.dir}/ipam/net/10.244.1.2`),
    ],
  }

  test.each(Object.entries(FAULTS))("fails when %s, and no longer once that is put right", (_, [harm, msg, heal]) => {
    harm()
    const outcome = network.check(pod, result)
    heal()
    expect(outcome).toMatchObject({ exitCode: 1, stderr: "", error: { cniVersion: "1.1.0" } })
    expect(outcome.error?.code).toBeGreaterThanOrEqual(100)
    expect(outcome.error?.msg).toContain(msg)
    expect(network.check(pod, result).stdout).toBe("")
  })

  test("fails when the config names another bridge than ADD's", () => {
    const outcome = network.check(pod, result, { config: { bridge: "cni9" } })
    expect(outcome.error).toMatchObject({ code: 104, msg: "bridge cni9 is not in prevResult" })
  })

  test("fails when promiscMode is asked for and off", () => {
    const outcome = network.check(pod, result, { config: { promiscMode: true, hairpinMode: false } })
    expect(outcome.error).toMatchObject({ code: 104, msg: "bridge cni0 is not in promiscuous mode" })
  })

  test("of a bridge that somebody listens on succeeds (the reference counts that as promiscMode)", () => {
    onNode("ip", "link", "set", "cni0", "promisc", "on")
    const answers = [network, network.as("reference")].map((asked) => asked.check(pod, result).exitCode)
    onNode("ip", "link", "set", "cni0", "promisc", "off")
    expect(answers).toEqual([0, 1])
  })

  test("needs prevResult, and a netns", () => {
    expect(network.ask("CHECK", pod).error).toMatchObject({
      code: 7,
      msg: expect.stringContaining("Required prevResult missing"),
    })
    const gone = network.ask("CHECK", `/run/netns/${node.name}-gone`, { config: { prevResult: result } })
    expect(gone.error).toMatchObject({ code: 8, details: "the pod's sandbox is gone; let the runtime make a new one" })
    expect(leases(node)).toHaveLength(2)
  })

  test("compares MAC addresses in any case", () => {
    const interfaces = result.interfaces?.map((link) => ({ ...link, mac: link.mac?.toUpperCase() ?? "" }))
    expect(network.check(pod, { ...result, interfaces: interfaces ?? [] }).exitCode).toBe(0)
  })
})

test("CHECK of a single address (/32) succeeds (the reference asks for a route to it)", () => {
  using node = new Node()
  const ipam = hostLocal(node, [], { ranges: [[{ subnet: "10.244.1.0/24" }]] })
  const network = new Network(node, { ipam })
  const pod = node.pod()
  const result = network.connect(pod)
  output(pod.inside(["ip", "addr", "replace", "10.244.1.2/32", "dev", "eth0"]))
  output(pod.inside(["ip", "addr", "del", "10.244.1.2/24", "dev", "eth0"]))
  const single = { ...result, ips: [{ address: "10.244.1.2/32", interface: 2 }] }
  expect(network.as("reference").check(pod, single).error?.msg).toContain("Failed to find Gateway <nil>")
  expect(network.check(pod, single)).toMatchObject({ exitCode: 0, stdout: "" })
})

test("CHECK asks the kernel no more often for many routes than for few", () => {
  using node = new Node()
  const requests = [2, 200].map((count) => {
    const routes = Array.from({ length: count }, (_, index) => ({ dst: `10.99.${index}.0/24` }))
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL, { routes }) })
    const pod = node.pod()
    const config = { ...network.config, prevResult: network.connect(pod) }
    const { outcome, calls } = node.trace("bridge", { command: "CHECK", netns: pod, config }, "sendto")
    expect(outcome).toMatchObject({ exitCode: 0, stdout: "" })
    return calls.filter(({ name }) => name === "sendto").length
  })
  expect(requests[1]).toBe(requests[0])
})

test("CHECK below 0.4.0 is refused", () => {
  using node = new Node()
  const network = new Network(node, { cniVersion: "0.3.1" })
  const pod = node.pod()
  const { error } = network.check(pod, network.connect(pod))
  expect(error).toMatchObject({ code: 1, msg: "config version does not allow CHECK" })
})
