import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { type Call, environment, type Outcome, outcome, type Result, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { type NodeSnapshot, snapshot } from "../../lab/snapshot.ts"

export type Config = Readonly<Record<string, unknown>>

/** Some fields of a call, and keys laid over the network's configuration. */
export type More = Omit<Partial<Call>, "config"> & { readonly config?: Config }

export const V4 = "10.244.1.0/24"
export const V6 = "fd00:10:244:1::/64"
export const DUAL = [V4, V6]

/** host-local with one range per subnet and its files on the node. */
export function hostLocal(node: Node, subnets: readonly string[] = [V4], more: Config = {}): Config {
  return { ...hostLocalAt(join(node.dir, "ipam"), subnets), ...more }
}

/** host-local with its files in `dataDir`. */
export function hostLocalAt(dataDir: string, subnets: readonly string[]): Config {
  return { type: "host-local", dataDir, ranges: subnets.map((subnet) => [{ subnet }]) }
}

/**
 * A network called `net` of a node, served by the plugin that `config` names as its type, or else by `bridge` on `cni0`: layer 2 only
 * unless it has `ipam`.
 */
export class Network {
  readonly node: Node
  readonly config: Config
  readonly implementation: Implementation

  constructor(node: Node, config: Config = {}, implementation: Implementation = "ours") {
    this.node = node
    const { type = "bridge" } = config
    this.config = { cniVersion: "1.1.0", name: "net", type, ...(type === "bridge" && { bridge: "cni0" }), ...config }
    this.implementation = implementation
  }

  get plugin(): string {
    return String(this.config["type"])
  }

  /** The same network, as another implementation or configuration serves it. */
  as(implementation: Implementation, config: Config = {}): Network {
    return new Network(this.node, { ...this.config, ...config }, implementation)
  }

  ask(command: string, netns: Call["netns"], { config, ...more }: More = {}): Outcome {
    const { implementation } = this
    return this.node.call(this.plugin, {
      command,
      netns,
      implementation,
      config: { ...this.config, ...config },
      ...more,
    })
  }

  add(pod: Pod, more: More = {}): Outcome {
    return this.ask("ADD", pod, more)
  }

  /** ADD where it must succeed. */
  connect(pod: Pod, more: More = {}): Result {
    const { result, stdout } = this.add(pod, more)
    if (!result) throw new Error(`ADD failed: ${stdout}`)
    return result
  }

  check(pod: Pod, prevResult: Result, { config, ...more }: More = {}): Outcome {
    return this.ask("CHECK", pod, { config: { ...config, prevResult }, ...more })
  }

  del(pod: Pod, more: More = {}): Outcome {
    return this.ask("DEL", pod, more)
  }

  /** GC, the attachments that are still wanted being those of these pods' eth0. */
  gc(pods: readonly Pod[], more: More = {}): Outcome {
    const valid = pods.map(({ containerId }) => ({ containerID: containerId, ifname: "eth0" }))
    return this.ask("GC", undefined, { ...more, config: { "cni.dev/valid-attachments": valid, ...more.config } })
  }
}

/** The addresses host-local has given out. */
export function leases(node: Node, network = "net"): string[] {
  return readdirSync(join(node.dir, "ipam", network))
    .filter((name) => /^[0-9a-f.:]+$/.test(name))
    .sort()
}

/** As leases, also where host-local was never asked. */
export function leased(node: Node): string[] {
  return existsSync(join(node.dir, "ipam/net")) ? leases(node) : []
}

/** The ports of a bridge as `bridge -d -j link` shows them. */
export function ports(node: Node, bridge = "cni0"): Described[] {
  return node.bridge("link", "show").filter((port) => port.master === bridge)
}

/** The only port of a bridge. */
export function port(node: Node, bridge = "cni0"): Described & { readonly ifname: string } {
  const [only, ...others] = ports(node, bridge)
  if (!only?.ifname || others.length > 0) throw new Error(`${bridge} has not one port but ${others.length + 1}`)
  return { ...only, ifname: only.ifname }
}

/** A pod's routes of one family in the main table, as `dst` or `dst via gateway`, the kernel's own left out. */
export function routes(pod: Pod, family: "-4" | "-6", ...more: string[]): string[] {
  return pod
    .ip(family, "route", "show", ...more)
    .filter(({ protocol }) => protocol !== "kernel")
    .map(({ dst, gateway }) => (gateway === undefined ? `${dst}` : `${dst} via ${gateway}`))
}

const TURN = /^ipam(\/(\.cni-ts(\/.*)?|net|net\/(lock|last_reserved_ip\.\d+)))?$/

/** The node as a snapshot shows it, but for the files in which host-local remembers whose turn it is. */
export function settled(node: Node): NodeSnapshot {
  const { files, ...rest } = snapshot(node)
  return { ...rest, files: Object.fromEntries(Object.entries(files).filter(([path]) => !TURN.test(path))) }
}

/** As `network.ask("ADD", pod)`, where `directory` cannot be written to. */
export function addReadOnly(network: Network, netns: Pod, directory: string): Outcome {
  const call = { command: "ADD", netns, config: network.config }
  const script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
  const program = `${binDirectory(network.implementation)}/${network.plugin}`
  const argv = network.node.inside(["unshare", "-m", "sh", "-c", script, directory, program])
  return outcome(run(argv, { env: environment(call), stdin: stdin(call) }))
}
