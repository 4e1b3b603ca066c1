import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Outcome, Result } from "../lab/call.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"
import { hostLocal, leases } from "../plugins/bridge/network.ts"

/** The environment has room for one variable of 128 KiB. */
const LONGEST_ID = 131_072 - "CNI_CONTAINERID=".length - 1

interface Lengths {
  readonly network: number
  readonly id: number
  readonly ifname: number
}

/** About each length at which something has to be cut: a rule's comment (128), a chain's name and an alias (255). */
const OF_IDS = [1, 111, 112, 128, 129, 222, 223, 233, 234, 237, 238, 239, 240, 241, 255, 256, 257, LONGEST_ID]
/** The same of networks, and of their directories' names (255). */
const OF_NETWORKS = [1, 100, 101, 219, 220, 221, 222, 223, 254, 255, 256, 257, 100_000]

const lengths: Lengths[] = [
  ...OF_IDS.map((id) => ({ network: 3, id, ifname: 4 })),
  ...[222, 223, 226, 227, 228].map((id) => ({ network: 3, id, ifname: 15 })),
  ...OF_NETWORKS.map((network) => ({ network, id: 20, ifname: 4 })),
]

/** Every plugin that names something after the attachment. */
class Attachment {
  readonly #node: Node
  readonly #pod: Pod
  readonly #names: { readonly name: string; readonly containerId: string; readonly ifname: string }

  constructor(node: Node, pod: Pod, { network, id, ifname }: Lengths) {
    this.#node = node
    this.#pod = pod
    this.#names = { name: "n".repeat(network), containerId: "c".repeat(id), ifname: "e".repeat(ifname) }
  }

  ask(command: string, plugin: string, keys: object): Outcome {
    const { name, ...names } = this.#names
    const netns = command === "GC" ? undefined : this.#pod
    const config = { cniVersion: "1.1.0", name, type: plugin, ...keys }
    return this.#node.call(plugin, { command, netns, ...(command !== "GC" && names), config })
  }

  valid(): object {
    const { containerId, ifname } = this.#names
    return { "cni.dev/valid-attachments": [{ containerID: containerId, ifname }] }
  }
}

function chain(node: Node, macspoofchk: boolean): [string, object][] {
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]
  return [
    ["bridge", { bridge: "cni0", isGateway: true, ipMasq: true, macspoofchk, ipam: hostLocal(node) }],
    ["portmap", { runtimeConfig: { portMappings } }],
    ["bandwidth", { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 }],
  ]
}

function connect(attachment: Attachment, plugins: readonly [string, object][]): Result | undefined {
  let prevResult: Result | undefined
  for (const [plugin, keys] of plugins) {
    const added = attachment.ask("ADD", plugin, { ...keys, ...(prevResult && { prevResult }) })
    expect(added, added.stdout).toMatchObject({ exitCode: 0, stderr: "" })
    prevResult = added.result
  }
  return prevResult
}

function end(attachment: Attachment, plugins: readonly [string, object][], command: string, keys: object): void {
  for (const [plugin, own] of plugins.toReversed()) {
    const ended = attachment.ask(command, plugin, { ...own, ...keys })
    expect(ended, ended.stdout).toMatchObject({ exitCode: 0, stdout: "" })
  }
}

/** The node's links, rules and sysctls, and the leases. */
function stateOf(node: Node): unknown {
  const { files, ...rest } = snapshot(node)
  return { ...rest, leases: Object.keys(files).filter((path) => /\/10\.[\d.]+$/.test(path)) }
}

describe.each([true, false])("with macspoofchk %s, what ADD takes CHECK, GC and DEL take", (macspoofchk) => {
  const node = new Node()
  const pod = node.pod()
  const plugins = chain(node, macspoofchk)
  let before: unknown

  beforeAll(() => {
    const usual = new Attachment(node, pod, { network: 3, id: 64, ifname: 4 })
    end(usual, plugins, "DEL", { prevResult: connect(usual, plugins) })
    before = stateOf(node)
  })
  afterAll(() => node[Symbol.dispose]())

  test.each(lengths)("network of $network, id of $id, interface of $ifname characters", (named) => {
    const attachment = new Attachment(node, pod, named)
    const prevResult = connect(attachment, plugins)
    for (const [plugin, keys] of plugins) {
      const checked = attachment.ask("CHECK", plugin, { ...keys, prevResult })
      expect(checked, checked.stdout).toMatchObject({ exitCode: 0, stdout: "" })
      const collected = attachment.ask("GC", plugin, { ...keys, ...attachment.valid() })
      expect(collected, collected.stdout).toMatchObject({ exitCode: 0, stderr: "" })
    }
    end(attachment, plugins, "DEL", { prevResult })
    expect(stateOf(node)).toEqual(before)
    connect(attachment, plugins)
    end(attachment, plugins, "GC", { "cni.dev/valid-attachments": [] })
    expect(stateOf(node)).toEqual(before)
  })
})

describe.each(["ptp", "macvlan"])("as much as bridge does %s, of interfaces of 4 characters", (plugin) => {
  test.each([238, 239, 240, LONGEST_ID])("with an id of %i", (id) => {
    using node = new Node()
    const pod = node.pod()
    output(node.inside(["ip", "link", "add", "uplink", "type", "veth", "peer", "far"]))
    const attachment = new Attachment(node, pod, { network: 3, id, ifname: 4 })
    const keys = plugin === "ptp" ? { ipMasq: true } : { master: "uplink" }
    const plugins: [string, object][] = [[plugin, { ...keys, ipam: hostLocal(node) }]]
    const prevResult = connect(attachment, plugins)
    expect(attachment.ask("CHECK", plugin, { ...plugins[0]?.[1], prevResult }).stdout).toBe("")
    end(attachment, plugins, "DEL", { prevResult })
    expect([pod.link("eeee"), leases(node, "nnn")]).toEqual([undefined, []])
  })
})
