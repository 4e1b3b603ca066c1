import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { type Call, environment, type Outcome, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"
import { LimitedPod } from "../plugins/bandwidth/limited.ts"
import { hostLocal } from "../plugins/bridge/network.ts"
import { plugInDevice } from "../plugins/host-device/network.ts"
import { ALL, prepare } from "../plugins/tuning/network.ts"

/** Calls the plugin as root with these capabilities and no others. */
function callWith(node: Node, plugin: string, capabilities: readonly string[], call: Call): Outcome {
  const bounds = ["-all", ...capabilities.map((name) => `+${name}`)].join(",")
  const program = ["setpriv", "--bounding-set", bounds, "--inh-caps", "-all", join(binDirectory("ours"), plugin)]
  return outcome(run(node.inside(program), { env: environment(call), stdin: stdin(call) }))
}

const BOTH = ["net_admin", "sys_admin"]

interface Needs {
  readonly plugin: string
  readonly capabilities: readonly string[]
  readonly config: (node: Node) => object
}

const needs: readonly Needs[] = [
  { plugin: "bridge", capabilities: BOTH, config: (node) => ({ isDefaultGateway: true, ipam: hostLocal(node) }) },
  {
    plugin: "bridge",
    capabilities: BOTH,
    config: (node) => ({ ipMasq: true, macspoofchk: true, ipam: hostLocal(node) }),
  },
  { plugin: "ptp", capabilities: BOTH, config: (node) => ({ ipMasq: true, ipam: hostLocal(node) }) },
  {
    plugin: "bandwidth",
    capabilities: BOTH,
    config: (node) => {
      const [pod = node.pod()] = node.pods
      const { prevResult } = new LimitedPod(node, { pod })
      const limits = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 }
      return { egressMode: "ifb", ...limits, prevResult }
    },
  },
  {
    plugin: "host-device",
    capabilities: BOTH,
    config: (node) => {
      plugInDevice(node)
      return { device: "uplink", ipam: hostLocal(node) }
    },
  },
  { plugin: "loopback", capabilities: BOTH, config: () => ({}) },
  {
    plugin: "sbr",
    capabilities: BOTH,
    config: (node) => {
      const [pod = node.pod()] = node.pods
      return prepare(node, pod)
    },
  },
  {
    plugin: "tuning",
    capabilities: BOTH,
    config: (node) => {
      const [pod = node.pod()] = node.pods
      return { ...ALL, dataDir: join(node.dir, "tuning"), ...prepare(node, pod) }
    },
  },
  { plugin: "tap", capabilities: BOTH, config: (node) => ({ owner: 1000, mtu: 1400, ipam: hostLocal(node) }) },
  { plugin: "host-local", capabilities: [], config: (node) => ({ ipam: hostLocal(node) }) },
  {
    plugin: "static",
    capabilities: [],
    config: () => ({ ipam: { type: "static", addresses: [{ address: "10.1.2.3/24" }] } }),
  },
  {
    plugin: "portmap",
    capabilities: ["net_admin"],
    config: () => ({
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
      prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }], interfaces: [], dns: {} },
    }),
  },
  {
    plugin: "firewall",
    capabilities: ["net_admin"],
    config: () => ({
      prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }], interfaces: [], dns: {} },
    }),
  },
]

describe("as root with no capabilities but", () => {
  test.each(needs)("$capabilities, $plugin adds and deletes a pod", ({ plugin, capabilities, config }) => {
    using node = new Node()
    const call = { netns: node.pod(), config: { cniVersion: "1.0.0", name: "net", type: plugin, ...config(node) } }
    const added = callWith(node, plugin, capabilities, { command: "ADD", ...call })
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    expect(callWith(node, plugin, capabilities, { command: "DEL", ...call })).toMatchObject({ exitCode: 0, stderr: "" })
  })

  test.each(needs.flatMap((need) => need.capabilities.map((without) => ({ ...need, without }))))(
    "those of $plugin without $without, ADD fails and changes nothing",
    ({ plugin, capabilities, config, without }) => {
      using node = new Node()
      const netns = node.pod()
      const call = {
        command: "ADD",
        netns,
        config: { cniVersion: "1.0.0", name: "net", type: plugin, ...config(node) },
      }
      const before = snapshot(node)
      const rest = capabilities.filter((name) => name !== without)
      expect(callWith(node, plugin, rest, call).error?.code).toBeGreaterThanOrEqual(100)
      const { files: _, ...after } = snapshot(node)
      const { files: __, ...expected } = before
      expect(after).toEqual(expected)
    },
  )
})

const HOSTILE = [
  "../../etc",
  "a/b",
  ".",
  "..",
  "a\nb",
  'a"b',
  "a b",
  "$(id)",
  "a;b",
  "-rf",
  "a\u0000b",
  "é",
  "\u001b[0m",
  ".cni-ts",
]

describe("hostile names", () => {
  test("of networks are refused by every plugin and verb before anything is done", () => {
    using node = new Node()
    const before = snapshot(node)
    for (const name of HOSTILE) {
      for (const command of ["ADD", "DEL", "GC"]) {
        const config = { cniVersion: "1.1.0", name, type: "bridge", ipam: hostLocal(node) }
        const plugin = command === "DEL" ? "host-local" : "bridge"
        const { error, stderr } = node.call(plugin, { command, netns: "/run/netns/none", config })
        expect({ name, command, code: error?.code, stderr }).toEqual({ name, command, code: 7, stderr: "" })
      }
    }
    expect(snapshot(node)).toEqual(before)
  })

  test("of containers are refused before anything is done", () => {
    using node = new Node()
    const before = snapshot(node)
    const config = { cniVersion: "1.1.0", name: "net", type: "bridge", ipam: hostLocal(node) }
    for (const containerId of HOSTILE.filter((name) => !name.includes("\0"))) {
      for (const command of ["ADD", "DEL"]) {
        const { error } = node.call("bridge", { command, containerId, netns: "/run/netns/none", config })
        expect({ containerId, command, code: error?.code }).toEqual({ containerId, command, code: 4 })
      }
    }
    expect(snapshot(node)).toEqual(before)
  })

  test("of attachments that a runtime lists as valid harm nothing", () => {
    using node = new Node()
    const config = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "cni0", ipam: hostLocal(node) }
    const netns = node.pod()
    expect(node.call("bridge", { command: "ADD", netns, config }).exitCode).toBe(0)
    const before = snapshot(node)
    const hostile = HOSTILE.map((name) => ({ containerID: name, ifname: name }))
    const valid = [...hostile, { containerID: netns.containerId, ifname: "eth0" }]
    const call = { command: "GC", config: { ...config, "cni.dev/valid-attachments": valid } }
    expect(node.call("bridge", call)).toMatchObject({ exitCode: 0, stderr: "" })
    expect(snapshot(node)).toEqual(before)
  })
})
