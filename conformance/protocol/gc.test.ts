import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node, Pod } from "../lab/node.ts"
import { nft, rules, ruleset } from "../lab/ruleset.ts"
import { output, run } from "../lab/run.ts"
import { hostLocal, leases, Network } from "../plugins/bridge/network.ts"
import { resultOf } from "../plugins/portmap/network.ts"

/** Not to be met in any namespace that other tests make: where a pod lives is looked for on the whole machine. */
const SUBNET = "172.29.77.0/24"

const PLUGINS = ["bridge", "portmap", "bandwidth"] as const

/** A chain that leaves something of every kind that GC removes. */
class Chain {
  readonly node = new Node()
  readonly #network = new Network(this.node, {
    isGateway: true,
    ipMasq: true,
    macspoofchk: true,
    ipam: hostLocal(this.node, [SUBNET]),
  })

  add(pod: Pod, hostPort: number): void {
    const prevResult = this.#network.connect(pod)
    const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }]
    const limits = { egressRate: 8_000_000, egressBurst: 8_000_000, egressMode: "ifb" }
    for (const [type, more] of [
      ["portmap", { runtimeConfig: { portMappings } }],
      ["bandwidth", limits],
    ] as const) {
      const added = this.#network.as("ours", { ...more, type, prevResult }).ask("ADD", pod)
      if (added.exitCode !== 0) throw new Error(added.stdout)
    }
  }

  gc(plugin: (typeof PLUGINS)[number], more: object) {
    return this.#network.as("ours", { type: plugin, ...more }).ask("GC", undefined)
  }

  /** Returns what is there of these pods' containers, in words. */
  traces(...pods: readonly Pod[]): string[][] {
    const [nftables, links, held] = [ruleset(this.node), this.node.ip("link", "show"), leases(this.node)]
    const words = (pod: Pod) => {
      const own = (links as { ifname: string; ifalias?: string }[]).filter(({ ifalias }) =>
        ifalias?.includes(`${pod.containerId} `),
      )
      const has = (chain: string, table: string) =>
        rules(this.node, table, chain).some((rule) => rule.includes(pod.containerId))
      return [
        ...own.map(({ ifname }) => ifname.slice(0, 3)).sort(),
        ...(has("masq_checks", "inet cni_plugins_masquerade") ? ["masquerade"] : []),
        ...(nftables.includes(`macspoofchk-${pod.containerId}-`) ? ["guard"] : []),
        ...(has("hostports", "ip cni_hostport") ? ["port"] : []),
      ]
    }
    return [...pods.map(words), held]
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }
}

/** Gives `action` a pod that is gone, with its network namespace and its veth, when this returns. */
function briefly(node: Node, action: (pod: Pod) => void): Pod {
  const veths = () => node.ip("link", "show", "type", "veth").length
  const before = veths()
  const pod = new Pod(`${node.name}-brief`)
  try {
    action(pod)
  } finally {
    pod[Symbol.dispose]()
  }
  while (veths() > before) run(["sleep", "0.05"]) // the kernel takes namespaces down in the background
  return pod
}

const ALL = ["bwp", "vet", "masquerade", "guard", "port"]

describe("GC leaves a pod that lives alone", () => {
  const listed = (pod: Pod) => [{ containerID: pod.containerId, ifname: "eth0" }]
  test.each<[string, (pod: Pod) => object]>([
    ["if the runtime names it by the key of CNI 1.1's first text", (pod) => ({ "cni.dev/attachments": listed(pod) })],
    ["if the runtime names it by today's key", (pod) => ({ "cni.dev/valid-attachments": listed(pod) })],
    [
      "if one list names it and the other is empty",
      (pod) => ({ "cni.dev/attachments": listed(pod), "cni.dev/valid-attachments": [] }),
    ],
    ["if the runtime names nobody by no key", () => ({})],
    ["if the list is null", () => ({ "cni.dev/valid-attachments": null, "cni.dev/attachments": null })],
  ])("%s", (_, keys) => {
    using chain = new Chain()
    const pod = chain.node.pod()
    chain.add(pod, 18080)
    for (const plugin of PLUGINS) {
      const { exitCode, stdout, stderr } = chain.gc(plugin, keys(pod))
      const says = `cni-ts ${plugin}: GC came without cni.dev/valid-attachments: only what is certainly gone is removed\n`
      expect({ plugin, exitCode, stdout, stderr }).toEqual({
        plugin,
        exitCode: 0,
        stdout: "",
        stderr: Object.values(keys(pod)).some(Array.isArray) ? "" : says,
      })
    }
    expect(chain.traces(pod)).toEqual([ALL, ["172.29.77.2"]])
    expect(pod.pings("172.29.77.1")).toBe(true)
  })

  test.each([
    [{ "cni.dev/valid-attachments": {} }],
    [{ "cni.dev/attachments": "none" }],
    [{ "cni.dev/valid-attachments": [], "cni.dev/attachments": [{ containerID: "x" }] }],
    [{ "cni.dev/valid-attachments": [null] }],
    [{ "cni.dev/valid-attachments": [{ containerID: 1, ifname: "eth0" }] }],
  ])("and fails if the list has a wrong shape: %j", (keys) => {
    using chain = new Chain()
    const pod = chain.node.pod()
    chain.add(pod, 18080)
    for (const plugin of PLUGINS) {
      expect(chain.gc(plugin, keys).error, plugin).toMatchObject({ msg: expect.stringContaining("cni.dev/") })
    }
    expect(chain.traces(pod)).toEqual([ALL, ["172.29.77.2"]])
  })
})

describe("GC without a list", () => {
  test("removes what is of a pod whose namespace no longer exists", () => {
    using chain = new Chain()
    const living = chain.node.pod()
    chain.add(living, 18080)
    const gone = briefly(chain.node, (pod) => chain.add(pod, 18081))
    for (const plugin of PLUGINS) expect(chain.gc(plugin, {})).toMatchObject({ exitCode: 0, stdout: "" })
    expect(chain.traces(living, gone)).toEqual([ALL, [], ["172.29.77.2"]])
  })

  test("touches no rule while a veth on the node does not say whose it is", () => {
    using chain = new Chain()
    const gone = briefly(chain.node, (pod) => chain.add(pod, 18081))
    output(chain.node.inside(["ip", "link", "add", "vethof", "type", "veth", "peer", "another"]))
    for (const plugin of PLUGINS) expect(chain.gc(plugin, {})).toMatchObject({ exitCode: 0, stdout: "" })
    expect(chain.traces(gone)).toEqual([["bwp", "masquerade", "guard", "port"], []])
    for (const plugin of PLUGINS) expect(chain.gc(plugin, { "cni.dev/attachments": [] }).exitCode).toBe(0)
    expect(chain.traces(gone)).toEqual([[], []])
  })

  test("leaves the ports of a pod that hangs on no veth, until its address is nowhere", () => {
    using node = new Node()
    const config = { cniVersion: "1.1.0", name: "net", type: "portmap" }
    const ports = () => rules(node, "ip cni_hostport", "hostports").length
    briefly(node, (pod) => {
      for (const args of ["link add eth0 type bridge", "addr add 172.29.77.9/24 dev eth0"]) {
        output(pod.inside(["ip", ...args.split(" ")]))
      }
      const prevResult = resultOf(pod, ["172.29.77.9/24"])
      const runtimeConfig = { portMappings: [{ hostPort: 18080, containerPort: 80, protocol: "tcp" }] }
      const add = { command: "ADD", netns: pod, config: { ...config, prevResult, runtimeConfig } }
      expect(node.call("portmap", add).exitCode).toBe(0)
      expect(node.call("portmap", { command: "GC", config }).exitCode).toBe(0)
      expect(ports()).toBe(1)
    })
    expect(node.call("portmap", { command: "GC", config }).exitCode).toBe(0)
    expect(ports()).toBe(0)
  })

  test("takes no lease back with reclaim switched off", () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node, [SUBNET]) })
    briefly(node, (pod) => network.connect(pod))
    const careful = network.as("ours", { ipam: hostLocal(node, [SUBNET], { reclaim: false }) })
    expect(careful.ask("GC", undefined).exitCode).toBe(0)
    expect(leases(node)).toEqual(["172.29.77.2"])
    expect(careful.gc([]).exitCode).toBe(0) // the runtime's word counts
    expect(leases(node)).toEqual([])
  })
})

describe("GC goes on after what it cannot remove, and tells of all of it:", () => {
  test("bridge, where rules of others lead to one guard and IPAM fails", () => {
    using node = new Node()
    const path = install(node, "bin", `echo '{"code": 99, "msg": "the address service is away"}'\nexit 1`, "away")
    const network = new Network(node, { macspoofchk: true })
    const pods = [node.pod(), node.pod(), node.pod()] as const
    for (const pod of pods) network.connect(pod)
    const [held] = pods
    nft(node, "add chain bridge nat others", `add rule bridge nat others jump cni-br-iface-${held.containerId}-eth0`)
    const config = { ipam: { type: "away" } }
    const { exitCode, error, stderr } = network.gc([], { config, path })
    expect(exitCode).toBe(1)
    const chain = `cni-br-iface-${held.containerId}-eth0`
    expect(error).toMatchObject({
      code: 102,
      msg: expect.stringMatching(`^chain ${chain} .* rule handle \\d+ of chain "others"; the address service is away$`),
    })
    expect(node.ip("link", "show", "type", "veth")).toEqual([])
    expect(rules(node, "bridge nat", "PREROUTING")).toEqual([])
    expect(ruleset(node).match(/cni-br-iface\S+/g)).toEqual([chain, chain]) // itself, empty, and who leads there
    expect(stderr.match(/removed/g)).toHaveLength(3 + 3 + 5) // veths, rules, chains
    nft(node, "flush chain bridge nat others")
    expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(ruleset(node)).not.toContain("cni-br-iface")
  })

  test("host-local, where files cannot be removed", () => {
    using node = new Node()
    const ipam = hostLocal(node, [SUBNET])
    const network = new Network(node, { type: "host-local", ipam })
    for (const containerId of ["a", "b", "c", "d"]) network.ask("ADD", "/run/netns/none", { containerId })
    const call = { command: "GC", config: { ...network.config, "cni.dev/valid-attachments": [] } }
    const busy = ["172.29.77.2", "172.29.77.4"].map((name) => join(node.dir, "ipam/net", name))
    // A file that something is mounted on cannot be removed.
    const script = 'for file in $FILES; do mount --bind "$file" "$file"; done; exec "$0"'
    const inside = ["unshare", "-m", "sh", "-c", script, join(binDirectory(), "host-local")]
    const env = { ...environment(call), FILES: busy.join(" ") }
    const { exitCode, error } = outcome(run(node.inside(inside), { env, stdin: stdin(call) }))
    expect(exitCode).toBe(1)
    expect(error).toMatchObject({ code: 101, details: expect.stringContaining("ipam.dataDir") })
    for (const file of busy) expect(error?.msg).toContain(`cannot remove ${file}: EBUSY`)
    expect(leases(node)).toEqual(["172.29.77.2", "172.29.77.4"])
    expect(network.gc([]).exitCode).toBe(0)
    expect(leases(node)).toEqual([])
  })
})
