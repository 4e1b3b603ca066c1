import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, leased } from "../bridge/network.ts"
import { dualOfLan, OUTSIDE, OUTSIDE6 } from "../macvlan/network.ts"
import { hostDevice, isBack, MAC, onLan, plugInDevice } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

describe.each(["0.4.0", "1.0.0", "1.1.0"])("at %s", (cniVersion) => {
  test("a device without IPAM is moved, renamed, set up, checked, and given back under its name", () => {
    using node = new Node()
    plugInDevice(node)
    const pod = node.pod()
    const network = hostDevice(node, { cniVersion })
    const result = network.connect(pod)
    expect(result).toMatchObject({ interfaces: [{ name: "eth0", mac: MAC, sandbox: pod.path }] })
    expect(result.ips).toBeUndefined()
    expect([node.link("uplink"), pod.link("eth0")]).toMatchObject([undefined, { address: MAC, ifalias: "uplink" }])
    expect([pod.link("eth0")?.flags?.includes("UP"), pod.addresses("eth0")]).toEqual([true, []])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject({ ...QUIET, stderr: "" })
    expect([pod.link("eth0"), isBack(node)]).toEqual([undefined, true])
  })

  test("a device with IPAM has addresses and routes, and what it leads to is reached", () => {
    using node = new Node()
    plugInDevice(node)
    const pod = node.pod()
    const dns = { nameservers: ["10.0.0.10"] }
    const network = onLan(node, { cniVersion, dns })
    const result = network.connect(pod)
    expect(result.ips?.[0]).toMatchObject({ address: "10.20.0.100/24", gateway: OUTSIDE, interface: 0 })
    expect([result.dns, pod.addresses("eth0"), pod.pings(OUTSIDE)]).toEqual([dns, ["10.20.0.100/24"], true])
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
    expect([isBack(node), leased(node)]).toEqual([true, []])
  })
})

test("dual stack: both addresses are usable when ADD returns", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  onLan(node, { ipam: dualOfLan(node) }).connect(pod)
  expect([pod.pings(OUTSIDE), pod.pings(OUTSIDE6)]).toEqual([true, true])
})

describe("a device is found", () => {
  const keys: Readonly<Record<string, Config>> = {
    "by its name": { device: "uplink" },
    "by a further name": { device: "enp3s0" },
    "by a further name that is longer than names are": { device: "uplink-to-the-machine-outside" },
    "by its MAC address, among other links": { device: "", hwaddr: MAC },
    "by its MAC address in upper case with dashes": { device: "", hwaddr: MAC.toUpperCase().replaceAll(":", "-") },
    "by its MAC address in quads": { device: "", hwaddr: "0200.0000.0d01" },
    "by its name before its MAC address": { device: "uplink", hwaddr: "02:00:00:00:0d:99" },
  }

  test.each(Object.entries(keys))("%s", (_, config) => {
    using node = new Node()
    plugInDevice(node)
    for (const name of ["enp3s0", "uplink-to-the-machine-outside"]) {
      node.run("ip", "link", "property", "add", "dev", "uplink", "altname", name)
    }
    const pod = node.pod()
    const network = hostDevice(node, config)
    const result = network.connect(pod)
    expect(pod.link("eth0")).toMatchObject({ address: MAC, ifalias: "uplink" })
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.del(pod)).toMatchObject(QUIET)
    expect(isBack(node)).toBe(true)
  })
})

describe("a device is moved and given back", () => {
  const names: Readonly<Record<string, [ifname: string, pods: readonly string[], nodes: readonly string[]]>> = {
    "where node and pod have no other link": ["eth0", [], []],
    "under the name that it has on the node": ["uplink", [], []],
    "to a pod that has a link of the device's name": ["net1", ["uplink"], []],
    "from a node that has a link of the pod's name": ["eth0", [], ["eth0"]],
    "where both have what the other wants": ["net1", ["uplink"], ["net1"]],
  }

  test.each(Object.entries(names))("%s", (_, [ifname, inPod, onNode]) => {
    using node = new Node()
    plugInDevice(node)
    const pod = node.pod()
    const make = (where: Node | typeof pod, name: string) =>
      where.ip("link", "add", name, "type", "veth", "peer", "name", "x")
    for (const name of inPod) make(pod, name)
    for (const name of onNode) make(node, name)
    const others = () => [...inPod.map((name) => pod.link(name)), ...onNode.map((name) => node.link(name))]
    const before = others()
    const network = hostDevice(node)
    const result = network.connect(pod, { ifname })
    expect(pod.link(ifname)).toMatchObject({ address: MAC, ifalias: "uplink" })
    expect(network.check(pod, result, { ifname })).toMatchObject(QUIET)
    expect(network.del(pod, { ifname })).toMatchObject(QUIET)
    expect([isBack(node), others()]).toEqual([true, before])
  })
})

test("an interface of the pod's name that is not the device stops ADD, and stays", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "x")
  const network = onLan(node)
  expect(network.add(pod).error).toMatchObject({ code: 102, msg: expect.stringContaining("already exists in the pod") })
  expect(network.del(pod)).toMatchObject(QUIET)
  expect([isBack(node), pod.link("eth0")?.linkinfo?.info_kind, leased(node)]).toEqual([true, "veth", []])
})

describe("ADD is refused", () => {
  const cases: [string, Config, number, string][] = [
    [
      "without a key that names the device",
      { device: undefined },
      7,
      'specify either "device", "hwaddr", "kernelpath"',
    ],
    [
      "for a device that is not there",
      { device: "eth9" },
      7,
      'failed to find host device: the node has none with device "eth9"',
    ],
    ["for a MAC address that nothing has", { device: "", hwaddr: "02:00:00:00:0d:99" }, 7, "none with hwaddr"],
    ["for a MAC address that is none", { hwaddr: "02:00" }, 7, 'hwaddr: "02:00" is not a MAC address'],
    [
      "for a kernelpath outside of /sys/devices",
      { device: "", kernelpath: "/sys/class" },
      7,
      "must begin with /sys/devices/",
    ],
    ["for a kernelpath that leaves it", { device: "", kernelpath: "/sys/devices/../class" }, 7, "without .."],
    ["for a kernelpath that leads nowhere", { device: "", kernelpath: "/sys/devices/x" }, 7, "none with kernelpath"],
    ["for a pciBusID that is not there", { device: "", pciBusID: "0000:99:00.0" }, 7, "no PCI device"],
    ["for a pciBusID that is a path", { device: "", pciBusID: "../x" }, 7, "is no device's name"],
    [
      "for a deviceID that is not there",
      { device: "", runtimeConfig: { deviceID: "x" } },
      7,
      "not found or unsupported",
    ],
    ["for a device that cannot be moved", { device: "lo" }, 100, "cannot move link lo"],
    ["for a device that is a number", { device: 4 }, 6, "device: expected a string"],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]

  test.each(cases)("%s", (_, config, code, msg) => {
    using node = new Node()
    plugInDevice(node)
    const pod = node.pod()
    const network = hostDevice(node, config)
    expect(network.add(pod).error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect([isBack(node), pod.ip("link", "show").length]).toEqual([true, 1])
    expect(network.del(pod).exitCode).toBe(config["ipam"] ? 1 : 0)
  })
})
