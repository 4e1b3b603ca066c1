import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { type Config, hostLocal, Network } from "../bridge/network.ts"
import { ALL, backups, prepare, SYSCTL, settings, tuning } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const TUNED = { mac: ALL["mac"], mtu: 1300, promisc: true, allmulti: true, txqlen: 500, promiscuity: 1 }

test("all settings are made, the result tells the MAC address and the MTU, and the files are root's alone", () => {
  using node = new Node()
  const pod = node.pod()
  const host = { name: "eth0", mac: "02:00:00:00:00:55", mtu: 1400 }
  const eth0 = { name: "eth0", mac: prepare(node, pod) && String(settings(pod)["mac"]), mtu: 1400, sandbox: pod.path }
  const prevResult = { cniVersion: "1.1.0", interfaces: [host, eth0], ips: [], dns: {} }
  const result = tuning(node, ALL).connect(pod, { config: { prevResult } })
  expect(settings(pod)).toEqual(TUNED)
  expect(result.interfaces).toEqual([host, { ...eth0, mac: ALL["mac"], mtu: 1300 }]) // the reference takes the node's eth0 for the pod's
  const modes = ["tuning", `tuning/${pod.containerId}_eth0.json`].map(
    (path) => statSync(join(node.dir, path)).mode & 0o777,
  )
  expect(modes).toEqual([0o700, 0o600])
})

test("an ADD that is repeated keeps what was before the first (the reference keeps what that has set)", () => {
  using node = new Node()
  const pod = node.pod()
  const told = prepare(node, pod)
  const before = settings(pod)
  for (const implementation of ["reference", "ours"] as const) {
    const network = tuning(node, ALL, implementation)
    network.connect(pod, { config: told })
    const first = backups(node)
    const prevResult = network.connect(pod, { config: told })
    expect(JSON.stringify(backups(node)) === JSON.stringify(first)).toBe(implementation === "ours")
    network.del(pod, { config: { prevResult } })
    expect(JSON.stringify(settings(pod)) === JSON.stringify(before)).toBe(implementation === "ours")
    for (const [key, value] of [
      ["promisc", "off"],
      ["allmulticast", "off"],
      ["txqueuelen", "1000"],
      ["mtu", "1400"],
      ["address", String(before["mac"])],
    ]) {
      pod.ip("link", "set", "eth0", String(key), String(value))
    }
  }
})

describe("ADD is refused, naming the key, and leaves nothing:", () => {
  const cases: [string, Config, number, string][] = [
    ["a MAC address that is none", { mac: "x" }, 7, 'mac: "x" is not a MAC address'],
    ["a MAC address of many", { mac: "01:00:5e:00:00:01" }, 7, 'mac: "01:00:5e:00:00:01" is not the address of one'],
    ["runtimeConfig's MAC address", { runtimeConfig: { mac: "x" } }, 7, 'runtimeConfig.mac: "x"'],
    ["an mtu out of range", { mtu: 70000 }, 7, "mtu: 70000 is not between"],
    ["an mtu from args", { args: { cni: { mtu: 1 } } }, 7, "args.cni.mtu: 1 is not between"],
    ["a negative txQLen", { txQLen: -1 }, 7, "txQLen: -1 is not between"],
    ["a promisc that is a number", { promisc: 1 }, 6, "promisc: expected true or false"],
    ["an allmulti that is text", { allmulti: "1" }, 6, "allmulti: expected true or false"],
    ["sysctl as a list", { sysctl: [] }, 6, "sysctl: expected an object"],
    ["a sysctl that is a number", { sysctl: { [SYSCTL]: 1 } }, 6, `sysctl.${SYSCTL}: expected a string`],
    ["a data directory that is a number", { dataDir: 1, mtu: 1300 }, 6, "dataDir: expected a string"],
    ["a data directory that is a file", { dataDir: "/etc/hostname", mtu: 1300 }, 101, "/etc/hostname"],
    [
      "no result of a plugin before",
      { mtu: 1300, prevResult: null },
      7,
      "prevResult: must be called as chained plugin",
    ],
  ]

  test.each(cases)("%s", (_, config, code, msg) => {
    using node = new Node()
    const pod = node.pod()
    const { prevResult } = prepare(node, pod)
    const before = snapshot(node)
    const { error } = tuning(node, { sysctl: { [SYSCTL]: "1" }, prevResult, ...config }).add(pod)
    expect(error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect(snapshot(node)).toEqual(before)
  })

  test("an MTU that would take the pod's IPv6 addresses away (the reference does)", () => {
    const left = (["ours", "reference"] as const).map((implementation) => {
      using node = new Node()
      const pod = node.pod()
      const { prevResult } = prepare(node, pod)
      const ips = [{ address: "fd00::2/64", interface: 1 }]
      const network = tuning(node, { mtu: 1279, prevResult: { ...prevResult, ips } }, implementation)
      const { error } = network.add(pod)
      return [error?.code, pod.addresses("eth0").includes("fd00::2/64")]
    })
    expect(left).toEqual([
      [7, true],
      [undefined, false],
    ])
  })

  test("an interface that is not there", () => {
    using node = new Node()
    const pod = node.pod()
    const { prevResult } = prepare(node, pod)
    const before = snapshot(node)
    const sysctl = { "net.ipv4.conf.all.log_martians": "1" }
    const { error } = tuning(node, { sysctl, mtu: 1300, prevResult }).add(pod, { ifname: "eth9" })
    expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("there is no interface eth9") })
    expect(snapshot(node)).toEqual(before)
  })

  test("a value that the kernel refuses after others that it took", () => {
    using node = new Node()
    const pod = node.pod()
    const { prevResult } = prepare(node, pod)
    output(pod.inside(["ip", "link", "add", "link", "eth0", "name", "net1", "type", "macvlan"])) // of an MTU of 1400 at most
    const { files: _, ...before } = snapshot(node)
    const config = { mac: ALL["mac"], mtu: 1500, promisc: true, sysctl: { "net.ipv4.conf.all.log_martians": "1" } }
    const { error } = tuning(node, { ...config, prevResult }).add(pod, { ifname: "net1" })
    expect(error).toMatchObject({ code: 100, msg: expect.stringContaining("change link net1 (mac, mtu, promiscuous)") })
    const { files: _files, ...after } = snapshot(node)
    expect([after, backups(node)]).toEqual([before, {}])
  })
})

describe("CHECK names the first thing that is not as ADD left it:", () => {
  const set =
    (...words: string[]) =>
    (pod: Pod) =>
      void pod.ip("link", "set", "eth0", ...words)
  const drifts: Readonly<Record<string, [harm: (pod: Pod) => void, msg: string]>> = {
    "a sysctl": [
      (pod) => pod.sysctl("net/ipv4/conf/all/log_martians", "0"),
      'sysctl net.ipv4.conf.all.log_martians is "0", not "1"',
    ],
    "a sysctl of the interface": [
      (pod) => pod.sysctl("net/ipv4/conf/eth0/arp_filter", "0"),
      `sysctl ${SYSCTL} is "0", not "1"`,
    ],
    mac: [set("address", "02:00:00:00:00:01"), "mac of eth0 is 02:00:00:00:00:01, not 02:00:00:00:00:7a"],
    mtu: [set("mtu", "1350"), "mtu of eth0 is 1350, not 1300"],
    promisc: [set("promisc", "off"), "promisc of eth0 is false, not true"],
    allmulti: [set("allmulticast", "off"), "allmulti of eth0 is false, not true"],
    txQLen: [set("txqueuelen", "7"), "txQLen of eth0 is 7, not 500"],
    "the interface": [(pod) => void pod.ip("link", "set", "eth0", "name", "other"), ""],
  }

  test.each(Object.entries(drifts))("%s", (_, [harm, msg]) => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, ALL)
    const result = network.connect(pod, { config: prepare(node, pod) })
    expect(network.check(pod, result)).toMatchObject(QUIET)
    if (msg === "") pod.ip("link", "set", "eth0", "down")
    harm(pod)
    const { error } = network.check(pod, result)
    expect(error).toMatchObject({ code: 104, msg: expect.stringContaining(msg) })
  })

  test("but not that somebody watches the interface's packets (the reference's fails), nor how the MAC address is written", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, { mac: "02-00-00-00-00-AB", mtu: 1300 })
    const result = network.connect(pod, { config: prepare(node, pod) })
    expect(network.check(pod, result)).toMatchObject(QUIET)
    pod.ip("link", "set", "eth0", "promisc", "on")
    expect(network.check(pod, result)).toMatchObject(QUIET)
    expect(network.as("reference", { mac: "02:00:00:00:00:ab" }).check(pod, result).error?.msg).toContain("promisc")
  })
})

test("STATUS fails if the configuration or the data directory cannot serve", () => {
  using node = new Node()
  expect(tuning(node, ALL).ask("STATUS", undefined)).toMatchObject(QUIET)
  expect(tuning(node, { mtu: 1 }).ask("STATUS", undefined).error).toMatchObject({ code: 50 })
  expect(tuning(node, { mtu: 1300, dataDir: "/etc/hostname" }).ask("STATUS", undefined).error).toMatchObject({
    code: 50,
  })
})

test("a chain of bridge and tuning passes CHECK, and its DEL leaves neither lease nor backup", () => {
  using node = new Node()
  const pod = node.pod()
  const bridge = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const network = tuning(node, ALL)
  const prevResult = network.connect(pod, { config: { prevResult: bridge.connect(pod) } })
  for (const one of [bridge, network]) expect(one.check(pod, prevResult)).toMatchObject(QUIET)
  for (const one of [network, bridge]) expect(one.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
  expect([pod.link("eth0"), backups(node)]).toEqual([undefined, {}])
})

test("the reference's file of an older ADD, even a damaged one, does not keep ADD from its work", () => {
  using node = new Node()
  const pod = node.pod()
  const told = prepare(node, pod)
  mkdirSync(join(node.dir, "tuning"))
  const file = join(node.dir, "tuning", `${pod.containerId}_eth0.json`)
  writeFileSync(file, '{"mtu":')
  tuning(node, { mtu: 1300 }).connect(pod, { config: told })
  expect(readFileSync(file, "utf8")).toBe('{\n "mtu": 1400\n}')
})
