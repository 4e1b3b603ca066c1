import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Outcome } from "../../lab/call.ts"
import { install } from "../../lab/foreign.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { nft } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { addReadOnly, type Config, DUAL, hostLocal, Network, settled, V4 } from "./network.ts"
import { masqueraded } from "./outside.ts"

interface Failure {
  readonly config: (node: Node) => Config
  readonly before?: (node: Node, pod: Pod) => void
  readonly add?: (network: Network, pod: Pod) => Outcome
  readonly error: { readonly code: number; readonly msg: string }
}

const routes = (...listed: Config[]) => ({
  config: (node: Node) => ({ isGateway: true, ipam: hostLocal(node, DUAL, { routes: listed }) }),
})

/** ADDs that fail late, after others of their steps have been done. */
const FAILURES: Readonly<Record<string, Failure>> = {
  "the interface's name is taken": {
    config: (node) => ({ isGateway: true, ipam: hostLocal(node) }),
    before: (_, pod) => output(pod.inside(["ip", "link", "add", "eth0", "type", "bridge"])),
    error: { code: 102, msg: 'interface "eth0" already exists in the pod' },
  },
  "all addresses are taken": {
    config: (node) => ({ isGateway: true, ipam: hostLocal(node, ["10.244.9.0/32"]) }),
    error: { code: 7, msg: "too small" },
  },
  "one of two ranges is exhausted": {
    config: (node) => ({
      isGateway: true,
      ipam: hostLocal(node, [], { ranges: [[{ subnet: V4 }], [{ subnet: "10.244.9.0/30" }]] }),
    }),
    before: (node) => {
      const ipam = hostLocal(node, ["10.244.9.0/30"])
      new Network(node, { bridge: "cni9", ipam }).connect(node.pod())
    },
    error: { code: 103, msg: "no IP addresses available" },
  },
  "a route's gateway cannot be reached": {
    ...routes({ dst: "10.5.0.0/16" }, { dst: "10.6.0.0/16", gw: "203.0.113.9" }),
    error: { code: 100, msg: "cannot add route 10.6.0.0/16" },
  },
  "a route is there twice": {
    ...routes({ dst: "10.5.0.0/16" }, { dst: "10.5.0.0/16" }),
    error: { code: 100, msg: "cannot add route 10.5.0.0/16" },
  },
  "IPAM gives one address twice": {
    config: (node) => ({ isGateway: true, ipam: scripted(node, ["10.244.1.2/24", "10.244.1.2/24"]) }),
    add: (network, pod) => network.add(pod, { path: join(network.node.dir, "bin") }),
    error: { code: 100, msg: "cannot add an address to eth0" },
  },
  "the bridge has another address": {
    config: (node) => ({ isGateway: true, ipam: hostLocal(node, ["10.77.0.0/16"]) }),
    before: (node) => {
      if (!node.link("cni0")) addBridge(node)
      output(node.inside(["ip", "addr", "replace", "10.244.1.1/24", "dev", "cni0"]))
    },
    error: { code: 102, msg: '"cni0" already has an IP address different from 10.77.0.1/16' },
  },
  "forwarding cannot be switched on": {
    config: (node) => ({ isGateway: true, ipam: hostLocal(node) }),
    before: (node) => node.sysctl("net/ipv4/ip_forward", "0"),
    add: (network, pod) => addReadOnly(network, pod, "/proc/sys/net/ipv4"),
    error: { code: 101, msg: "/proc/sys/net/ipv4/ip_forward" },
  },
  "the MTU is too small for IPv6": {
    config: (node) => ({ isGateway: true, mtu: 1000, ipam: hostLocal(node, DUAL) }),
    error: { code: 7, msg: "an MTU of 1000 is too small for IPv6" },
  },
  "the masquerading chain is somebody else's": {
    config: (node) => masqueraded(node),
    before: (node) =>
      nft(
        node,
        "add table inet cni_plugins_masquerade",
        "add chain inet cni_plugins_masquerade postrouting { type filter hook input priority 0; }",
      ),
    error: { code: 102, msg: "somebody else's" },
  },
  "forwarding cannot be switched on, after rules were made": {
    config: (node) => ({ ...masqueraded(node, [V4]), macspoofchk: true }),
    before: (node) => {
      // Tables and base chains stay, as a network's first pod leaves them.
      const first = new Network(node, {
        ...masqueraded(node, ["10.99.0.0/16"]),
        name: "first",
        bridge: "cni9",
        macspoofchk: true,
      })
      const pod = node.pod()
      first.connect(pod)
      first.del(pod)
      node.sysctl("net/ipv4/ip_forward", "0")
    },
    add: (network, pod) => addReadOnly(network, pod, "/proc/sys/net/ipv4"),
    error: { code: 101, msg: "/proc/sys/net/ipv4/ip_forward" },
  },
  "IPAM cannot write its files": {
    config: (node) => ({ isGateway: true, ipam: hostLocal(node) }),
    before: (node) => node.run("mkdir", "-p", join(node.dir, "ipam")),
    add: (network, pod) => addReadOnly(network, pod, join(network.node.dir, "ipam")),
    error: { code: 101, msg: "read-only file system" },
  },
  "IPAM answers nonsense": {
    config: (node) => ({ ipam: scripted(node, ["nonsense"]) }),
    add: (network, pod) => network.add(pod, { path: join(network.node.dir, "bin") }),
    error: { code: 105, msg: "nonsense" },
  },
}

describe.each(Object.entries(FAILURES))("an ADD that fails because %s", (_, { config, before, add, error }) => {
  const attempt = (node: Node, more: Config) => {
    const pod = node.pod()
    const network = new Network(node, { ...config(node), ...more })
    before?.(node, pod)
    const old = settled(node)
    const outcome = add ? add(network, pod) : network.add(pod)
    expect(outcome).toMatchObject({ exitCode: 1, stderr: "", error: { cniVersion: "1.1.0", code: error.code } })
    expect(outcome.error?.msg).toContain(error.msg)
    expect(settled(node)).toEqual(old)
  }

  test("leaves no bridge, veth, address, route, setting or lease behind", () => {
    using node = new Node()
    attempt(node, {})
  })

  test("leaves an existing bridge as it was: its MTU, promiscuous mode, addresses and pods", () => {
    using node = new Node()
    const other = new Network(node, { name: "other", isGateway: true, ipam: hostLocal(node) })
    const pod = node.pod()
    other.connect(pod)
    attempt(node, { promiscMode: true, ...(config(node)["mtu"] === undefined && { mtu: 1400 }) })
    expect(pod.pings("10.244.1.1")).toBe(true)
  })

  test("leaves an existing bridge that was down, down", () => {
    using node = new Node()
    addBridge(node)
    attempt(node, {})
  })
})

test("an ADD fails and leaves nothing behind when somebody removes the bridge meanwhile", () => {
  using node = new Node()
  const pod = node.pod()
  const network = new Network(node, { ipam: scripted(node, ["10.244.1.2/24"], "ip link del cni0") })
  const before = settled(node)
  const { error } = network.add(pod, { path: join(node.dir, "bin") })
  expect(error).toMatchObject({ code: 102, msg: "bridge cni0 vanished while it was being used", details: "try again" })
  expect(settled(node)).toEqual(before)
})

test("a second ADD of an attachment fails and does the first no harm", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  const before = settled(node)
  for (const netns of [pod, node.pod()]) {
    const { error } = network.ask("ADD", netns, { containerId: pod.containerId })
    expect(error).toMatchObject({ code: 102, details: expect.stringContaining("DEL the attachment first") })
  }
  const { pods, ...rest } = settled(node)
  expect({ ...rest, pods: { [pod.name]: pods[pod.name] } }).toEqual(before)
  expect(network.check(pod, result).exitCode).toBe(0)
})

/** A bridge that is down, as one that was up before. */
function addBridge(node: Node): void {
  output(node.inside(["ip", "link", "add", "cni0", "address", "02:00:00:00:00:aa", "type", "bridge"]))
  for (const state of ["up", "down"]) output(node.inside(["ip", "link", "set", "cni0", state]))
}

/** An IPAM plugin in `<node.dir>/bin` that answers ADD with these addresses, and has it run a command on the node before. */
function scripted(node: Node, addresses: readonly string[], command = "true"): Config {
  const answer = JSON.stringify({ cniVersion: "1.1.0", ips: addresses.map((address) => ({ address })) })
  install(node, "bin", `[ $CNI_COMMAND != ADD ] || { ${command}; echo '${answer}'; }`, "scripted")
  return { type: "scripted" }
}
