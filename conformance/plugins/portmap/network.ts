import type { Call, Outcome, Result } from "../../lab/call.ts"
import type { Implementation } from "../../lab/executables.ts"
import type { Namespace } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { saved } from "../../xtables/rules.ts"

export type Config = Readonly<Record<string, unknown>>

/** One of runtimeConfig.portMappings. */
export interface Mapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: string
  readonly hostIP?: string
}

export const tcp = (hostPort: number, containerPort = 80, hostIP?: string): Mapping => ({
  hostPort,
  containerPort,
  protocol: "tcp",
  ...(hostIP !== undefined && { hostIP }),
})

export const udp = (hostPort: number, containerPort = 53, hostIP?: string): Mapping => ({
  ...tcp(hostPort, containerPort, hostIP),
  protocol: "udp",
})

/** Some fields of a call, the ports the runtime asks for, and keys laid over the network's configuration. */
export type More = Omit<Partial<Call>, "config"> & { readonly config?: Config; readonly ports?: readonly Mapping[] }

export const QUIET = { exitCode: 0, stderr: "" }

/** A network's `portmap`, in the nftables backend whichever implementation serves it. */
export class Portmap {
  readonly node: Node
  readonly config: Config
  readonly implementation: Implementation

  constructor(node: Node, config: Config = {}, implementation: Implementation = "ours") {
    this.node = node
    this.config = { cniVersion: "1.1.0", name: "net", type: "portmap", backend: "nftables", ...config }
    this.implementation = implementation
  }

  as(implementation: Implementation, config: Config = {}): Portmap {
    return new Portmap(this.node, { ...this.config, ...config }, implementation)
  }

  ask(command: string, netns: Call["netns"], more: More = {}): Outcome {
    return this.node.call("portmap", this.call(command, netns, more))
  }

  call(command: string, netns: Call["netns"], { config, ports, ...more }: More = {}): Call {
    const runtimeConfig = ports && { runtimeConfig: { portMappings: ports } }
    const { implementation } = this
    return { command, netns, implementation, config: { ...this.config, ...runtimeConfig, ...config }, ...more }
  }

  /** ADD where it must succeed. */
  map(pod: Pod, ports: readonly Mapping[], addresses: readonly string[], more: More = {}): void {
    const { exitCode, stdout } = this.add(pod, ports, addresses, more)
    if (exitCode !== 0) throw new Error(`ADD failed: ${stdout}`)
  }

  add(pod: Pod, ports: readonly Mapping[], addresses: readonly string[], { config, ...more }: More = {}): Outcome {
    const prevResult = resultOf(pod, addresses, more.ifname)
    return this.ask("ADD", pod, { ...more, ports, config: { prevResult, ...config } })
  }

  check(pod: Pod, ports: readonly Mapping[], addresses: readonly string[], { config, ...more }: More = {}): Outcome {
    const prevResult = resultOf(pod, addresses, more.ifname)
    return this.ask("CHECK", pod, { ...more, ports, config: { prevResult, ...config } })
  }

  /** As a runtime does that has forgotten all but the container: without ports, namespace and previous result. */
  del(pod: Pod, more: More = {}): Outcome {
    return this.ask("DEL", undefined, { containerId: pod.containerId, ...more })
  }

  gc(pods: readonly Pod[], more: More = {}): Outcome {
    const valid = pods.map(({ containerId }) => ({ containerID: containerId, ifname: "eth0" }))
    return this.ask("GC", undefined, { ...more, config: { "cni.dev/valid-attachments": valid, ...more.config } })
  }
}

/** Returns the answer of the plugins before in the chain: a pod's interface with these addresses, after one of the host's. */
export function resultOf(pod: Pod, addresses: readonly string[], ifname = "eth0"): Result {
  return {
    interfaces: [{ name: "cni0" }, { name: ifname, sandbox: pod.path }],
    ips: addresses.map((address) => ({ version: address.includes(":") ? "6" : "4", address, interface: 1 })),
  }
}

/** One object of `nft -j`: `{ rule: { chain, expr, comment } }` and the like. */
export type Listed = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** The node's ruleset as `nft -j` shows it, without handles and, unless asked for, without sets. */
export function ruleset(namespace: Namespace, { sets = false } = {}): Listed[] {
  const { exitCode, stdout, stderr } = namespace.run("nft", "-j", "list", "ruleset")
  if (exitCode !== 0) throw new Error(stderr)
  const { nftables } = JSON.parse(stdout) as { nftables: Listed[] }
  return nftables
    .filter((object) => !("metainfo" in object) && (sets || !("set" in object)))
    .map((object) => Object.fromEntries(Object.entries(object).map(([kind, { handle, ...rest }]) => [kind, rest])))
}

/** The rule by which a pod reaches itself, and by ours and the Go plugin's iptables backend its neighbours reach it. */
export function isForPods({ rule }: Listed): boolean {
  return rule?.["chain"] === "masquerading" && !JSON.stringify(rule).includes("127.0.0.1")
}

/** The empty chain by which ours finds a pod's rules. */
export function isAnchor({ chain }: Listed): boolean {
  return String(chain?.["name"]).startsWith("cni-ts-")
}

/** The rules of a chain of one family's cni_hostport, as `nft` writes them. */
export function rules(namespace: Namespace, chain: string, family: "ip" | "ip6" = "ip"): string[] {
  const { stdout } = namespace.run("nft", "list", "chain", family, "cni_hostport", chain)
  const lines = stdout.split("\n").map((line) => line.trim())
  return lines.filter((line) => line !== "" && !/^(table|chain|type|\})/.test(line))
}

/** nft runs a script of its own language here; throws where it cannot. */
export function nft(namespace: Namespace, ...script: string[]): void {
  const { exitCode, stderr } = namespace.run("nft", script.join("; "))
  if (exitCode !== 0) throw new Error(stderr)
}

/** Runs each of these commands of a shell on the node; throws if one fails. */
export function iptables(node: Node, ...commands: string[]): void {
  for (const command of commands) output(node.inside(["sh", "-c", command]))
}

/** Lists the chains of containers, their rules and those that lead there, as `iptables-save` and `ip6tables-save` print them. */
export function hostportsOf(node: Node): string[] {
  return saved(node).filter((line) => line.includes("CNI-DN-"))
}
