import { describe, expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import { Node } from "../lab/node.ts"
import { ruleset } from "../lab/ruleset.ts"
import { run } from "../lab/run.ts"
import { hostLocal } from "../plugins/bridge/network.ts"

/** Every printable character of ASCII, and some others. */
const ASCII = Array.from({ length: 0x7f - 0x21 }, (_, n) => String.fromCharCode(0x21 + n))
const CHARACTERS = [...ASCII, "ä", "漢", "𝄞", "\u200b", "\u202e", "\u0301", "\x01", "\x1b", "\x7f"]

/** The names that a user or an administrator can choose. */
interface Names {
  readonly ifname: string
  readonly containerId: string
  readonly network: string
  readonly bridge: string
}

/** The plugins that write rules, with all that they write, each ADD on a port of its own. */
class Cluster {
  readonly node = new Node()
  #added = 0

  /** Connects a new pod; false if the names were refused. */
  connect(type: "bridge" | "ptp", { ifname, containerId, network: name, bridge }: Names): boolean {
    const netns = this.node.pod()
    const portMappings = [{ hostPort: 8000 + ++this.#added, containerPort: 80, protocol: "tcp" }]
    const ipam = hostLocal(this.node, ["10.244.0.0/16", "fd00:10:244::/64"])
    const plugins: [string, object][] = [
      [type, { bridge, ipMasq: true, macspoofchk: true, ipam }],
      ["portmap", { snat: true, runtimeConfig: { portMappings } }],
    ]
    let prevResult: Result | undefined
    for (const [plugin, keys] of plugins) {
      const config = { cniVersion: "1.1.0", name, type: plugin, ...keys, prevResult }
      const { result, error } = this.node.call(plugin, { command: "ADD", netns, containerId, ifname, config })
      if (!result && prevResult) throw new Error(`${plugin}: ${error?.msg}`)
      if (!result) return false
      prevResult = result
    }
    return true
  }

  /** Returns what `nft` says against the ruleset as it lists it. */
  problem(): string {
    const { exitCode, stderr } = run(this.node.inside(["nft", "-c", "-f", "-"]), { stdin: ruleset(this.node) })
    return exitCode === 0 ? "" : `exit code ${exitCode}: ${stderr}`
  }

  collect(): void {
    for (const type of ["bridge", "ptp", "portmap"]) {
      const keys = { bridge: "cni0", ipam: hostLocal(this.node), "cni.dev/valid-attachments": [] }
      const config = { cniVersion: "1.1.0", name: "net", type, ...keys }
      const collected = this.node.call(type, { command: "GC", config })
      expect(collected, collected.stdout).toMatchObject({ exitCode: 0 })
    }
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }
}

describe("a saved ruleset can be loaded again, whatever character a user chose", () => {
  test.each(["bridge", "ptp"] as const)("for the interface that %s makes (the reference's cannot)", (type) => {
    using cluster = new Cluster()
    const names = { containerId: "one", network: "net", bridge: "cni0" }
    const taken = CHARACTERS.filter((c) => cluster.connect(type, { ...names, ifname: `a${c}b` }))
    expect(CHARACTERS.filter((c) => !taken.includes(c))).toEqual(["%", "/", ":"])
    expect(cluster.problem()).toBe("")
    cluster.collect()
    expect(ruleset(cluster.node)).not.toMatch(/cni-br-iface|macspoofchk|dnat to|net: /)
  })

  test.each(["containerId", "network", "bridge"])("for the %s", (name) => {
    using cluster = new Cluster()
    const usual = { ifname: "eth0", network: "net", bridge: "cni0" }
    const taken = CHARACTERS.filter((c, n) => {
      return cluster.connect("bridge", { ...usual, containerId: `one${n}`, [name]: `a${c}b` })
    })
    expect(taken).toEqual(expect.arrayContaining([".", "-", "_", "a", "Z", "0"]))
    expect(cluster.problem()).toBe("")
  })
})
