import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import {
  type CnitoolCall,
  cnitoolEnvironment,
  cnitoolProgram,
  type NetworkList,
  type NetworkPlugin,
} from "../../../lab/cnitool.ts"
import { ask, Echo } from "../../../lab/echo.ts"
import { binDirectory } from "../../../lab/executables.ts"
import { Node, type Pod } from "../../../lab/node.ts"
import { type Finished, output, run } from "../../../lab/run.ts"
import { snapshotNamespace } from "../../../lab/snapshot.ts"
import { OUTSIDE, plugIn } from "../../../plugins/macvlan/network.ts"
import { PROGRAM_DIRECTORY } from "../programs.ts"

const MAC = "92:d0:c6:0a:29:33"
const HOST_PORT = 18700

/** Requests beside the networks: a port of the first, an address and a MAC address in the second. */
const ASKED = {
  portMappings: [{ hostPort: HOST_PORT, containerPort: 80, protocol: "tcp" }],
  ips: ["10.20.0.50/24"],
  mac: MAC,
}

const RACK = "10.249.0.254"

/** Gives the node two links to other machines, as one interface cannot have both macvlans and ipvlans; returns that of the first. */
function plugInBoth(node: Node): Pod {
  const lan = plugIn(node)
  const rack = node.pod()
  node.ip("link", "add", "second", "type", "veth", "peer", "name", "far", "netns", rack.name)
  rack.ip("link", "set", "far", "up")
  rack.ip("addr", "add", `${RACK}/24`, "dev", "far")
  node.ip("link", "set", "second", "up")
  return lan
}

/** A list of multus with networks of its own, which needs no API server: eth0, net1 and net2 of a pod. */
function multus(cniVersion: string): NetworkList {
  const bridge = {
    ...{ type: "bridge", bridge: "cni0", isDefaultGateway: true, hairpinMode: true, ipMasq: true },
    ipam: { type: "host-local", ranges: [[{ subnet: "10.247.1.0/24" }]] },
  }
  const macvlan = {
    type: "macvlan",
    master: "uplink",
    capabilities: { mac: true, ips: true },
    ipam: { type: "static" },
  }
  const ipvlan = {
    ...{ type: "ipvlan", master: "second" },
    ipam: { type: "host-local", ranges: [[{ subnet: "10.249.0.0/24", rangeStart: "10.249.0.2" }]] },
  }
  const delegates = [
    { cniVersion, name: "podnet", plugins: [bridge, { type: "portmap", capabilities: { portMappings: true } }] },
    { cniVersion, name: "lan", ...macvlan },
    { cniVersion, name: "rack", plugins: [ipvlan] },
  ]
  const capabilities = { portMappings: true, ips: true, mac: true }
  const plugin: NetworkPlugin = { type: "multus", binDir: binDirectory(), logToStderr: true, capabilities, delegates }
  return { cniVersion, name: "multinet", plugins: [plugin] }
}

/** Calls multus, mostly by cnitool, with a /var/lib of the node's own: all files of both are in it. */
function callerOf(node: Node, cniVersion: string) {
  const varLib = join(node.dir, "var-lib")
  const mount = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /var/lib && exec "$@"', varLib]
  const networks = join(node.dir, "net.d")
  mkdirSync(networks)
  const network = multus(cniVersion)
  const log = join(node.dir, "calls.log")
  writeFileSync(join(networks, "multus.conflist"), JSON.stringify(network))
  const path = `${binDirectory()}:${PROGRAM_DIRECTORY}`
  const call = (command: CnitoolCall["command"], netns: { path: string }): Finished => {
    const request = { command, network, netns, path, capabilityArgs: ASKED }
    return run(node.inside([...mount, ...cnitoolProgram(request)]), {
      env: { ...cnitoolEnvironment(request, networks), CNI_TS_LOG: log },
    })
  }
  /** GC, as a runtime calls it: cnitool would remove what it knows itself. */
  const collect = (): Finished => {
    const { cniVersion, name, plugins } = network
    const program = [...mount, join(PROGRAM_DIRECTORY, "multus")]
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_PATH: path, CNI_COMMAND: "GC", CNI_TS_LOG: log }
    return run(node.inside(program), { env, stdin: JSON.stringify({ ...plugins[0], cniVersion, name }) })
  }
  /** The plugins that were called for a verb, as their log has it. */
  const asked = (verb: string): string[] => {
    const lines = readFileSync(log, "utf8").trim().split("\n")
    const calls = lines.map((line) => JSON.parse(line) as { plugin: string; verb: string })
    return calls
      .filter((entry) => entry.verb === verb)
      .map(({ plugin }) => plugin)
      .sort()
  }
  const leases = () => output(["find", join(varLib, "cni/networks"), "-name", "10.*"])
  return { call, collect, asked, leases }
}

const DONE = { exitCode: 0, stderr: "" }

describe.each(["0.4.0", "1.0.0", "1.1.0"])("multus with a bridge, a macvlan and an ipvlan at %s", (cniVersion) => {
  test("ADD, CHECK and DEL of all three; the address and the MAC address asked for; a host port", () => {
    using node = new Node()
    const [lan, pod] = [plugInBoth(node), node.pod()]
    const caller = callerOf(node, cniVersion)
    expect(caller.call("add", pod)).toMatchObject(DONE)
    expect(["eth0", "net1", "net2"].map((name) => pod.addresses(name))).toEqual([
      ["10.247.1.2/24"],
      ["10.20.0.50/24"],
      ["10.249.0.2/24"],
    ])
    expect(pod.link("net1")).toMatchObject({ address: MAC, linkinfo: { info_kind: "macvlan" } })
    const { address } = node.link("second") ?? {}
    expect(pod.link("net2")).toMatchObject({ address, linkinfo: { info_kind: "ipvlan" } })
    expect(pod.ip("route", "show", "default")).toMatchObject([{ gateway: "10.247.1.1", dev: "eth0" }])
    expect([pod.pings("10.247.1.1"), pod.pings(OUTSIDE), pod.pings(RACK)]).toEqual([true, true, true])
    expect(lan.pings("10.20.0.50")).toBe(true)
    using _server = new Echo(pod, "tcp", 80, "pod")
    expect(ask(node, "127.0.0.1", HOST_PORT)).toBe("pod hears 10.247.1.1")

    expect(caller.call("check", pod)).toMatchObject(DONE)
    pod.ip("addr", "del", "10.20.0.50/24", "dev", "net1")
    expect(caller.call("check", pod)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("10.20.0.50") })
    for (const _time of ["first", "second"]) expect(caller.call("del", pod)).toMatchObject(DONE)
    expect(pod.ip("link", "show").map(({ ifname }) => ifname)).toEqual(["lo"])
  })

  test("after DEL the node is as a pod before left it: no link, rule or lease", () => {
    using node = new Node()
    const [first, second] = [node.pod(), node.pod()]
    plugInBoth(node)
    const caller = callerOf(node, cniVersion)
    expect(caller.call("add", first)).toMatchObject(DONE)
    expect(caller.call("del", first)).toMatchObject(DONE)
    const before = snapshotNamespace(node)
    expect(caller.call("add", second)).toMatchObject(DONE)
    expect(caller.leases().trim().split("\n")).toHaveLength(2)
    expect(caller.call("del", second)).toMatchObject(DONE)
    expect([snapshotNamespace(node), caller.leases()]).toEqual([before, ""])
  })
})

test("multus asks its first network for STATUS, at 1.1.0", () => {
  using node = new Node()
  const pod = node.pod()
  plugIn(node)
  const caller = callerOf(node, "1.1.0")
  expect(caller.call("status", pod)).toMatchObject(DONE)
  expect(caller.asked("STATUS")).toEqual(["bridge", "portmap"])
})

test("GC of multus: its first network keeps what the pods that it knows have, and nobody else's lease, at 1.1.0", () => {
  using node = new Node()
  const pod = node.pod()
  plugInBoth(node)
  const caller = callerOf(node, "1.1.0")
  expect(caller.call("add", pod)).toMatchObject(DONE)
  const [before, leased] = [snapshotNamespace(node), caller.leases()]
  writeFileSync(join(node.dir, "var-lib/cni/networks/podnet/10.247.1.99"), "nobody\r\neth0")
  expect(caller.collect()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("removed lease 10.247.1.99") })
  expect(caller.asked("GC")).toEqual(["bridge", "portmap"])
  expect([snapshotNamespace(node), caller.leases()]).toEqual([before, leased])
  expect(caller.call("check", pod)).toMatchObject(DONE)
})
