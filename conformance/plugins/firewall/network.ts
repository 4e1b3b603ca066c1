import type { Call, Outcome } from "../../lab/call.ts"
import type { Implementation } from "../../lab/executables.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { saved } from "../../xtables/rules.ts"
import { resultOf } from "../portmap/network.ts"

export type Config = Readonly<Record<string, unknown>>

/** Some fields of a call, and keys laid over the network's configuration. */
export type More = Omit<Partial<Call>, "config"> & { readonly config?: Config }

export const QUIET = { exitCode: 0, stderr: "" }
export const ADDRESSES = ["10.1.0.2/24", "fd00::2/64"]
export const POLICIES = ["open", "same-bridge", "isolated"] as const

/** A network's `firewall`, behind a plugin that answered with cni0 and a pod's eth0. */
export class Firewall {
  readonly node: Node
  readonly config: Config
  readonly implementation: Implementation
  readonly #env: Readonly<Record<string, string>>

  constructor(
    node: Node,
    config: Config = {},
    implementation: Implementation = "ours",
    env: Readonly<Record<string, string>> = {},
  ) {
    this.node = node
    this.#env = env
    this.config = { cniVersion: "1.1.0", name: "net", type: "firewall", backend: "iptables", ...config }
    this.implementation = implementation
  }

  as(implementation: Implementation, config: Config = {}): Firewall {
    return new Firewall(this.node, { ...this.config, ...config }, implementation, this.#env)
  }

  call(command: string, netns: Call["netns"], { config, ...more }: More = {}): Call {
    // The Go plugin starts the iptables that it finds.
    const env = { ...this.#env, ...(this.implementation === "reference" && { PATH: process.env["PATH"] }) }
    return { command, netns, implementation: this.implementation, env, config: { ...this.config, ...config }, ...more }
  }

  ask(command: string, netns: Call["netns"], more: More = {}): Outcome {
    return this.node.call("firewall", this.call(command, netns, more))
  }

  /** Asks with the result of the plugins before. */
  tell(command: string, pod: Pod, addresses: readonly string[] = ADDRESSES, { config, ...more }: More = {}): Outcome {
    return this.ask(command, pod, { ...more, config: { prevResult: resultOf(pod, addresses), ...config } })
  }

  /** ADD where it must succeed. */
  allow(pod: Pod, addresses: readonly string[] = ADDRESSES, more: More = {}): void {
    const { exitCode, stdout } = this.tell("ADD", pod, addresses, more)
    if (exitCode !== 0) throw new Error(`ADD failed: ${stdout}`)
  }

  /** DEL as a runtime asks that has forgotten all but the container. */
  forget(pod: Pod, more: More = {}): Outcome {
    return this.ask("DEL", undefined, { containerId: pod.containerId, ...more })
  }

  gc(pods: readonly Pod[]): Outcome {
    const valid = pods.map(({ containerId }) => ({ containerID: containerId, ifname: "eth0" }))
    return this.ask("GC", undefined, { config: { "cni.dev/valid-attachments": valid } })
  }
}

/** Lists the rules that name these addresses, as `iptables-save` and `ip6tables-save` print them. */
export function rulesFor(node: Node, addresses: readonly string[] = ADDRESSES): string[] {
  const hosts = addresses.map((address) => ` ${address.split("/")[0]}/`)
  return saved(node).filter((line) => hosts.some((host) => line.includes(host)))
}

export function iptables(node: Node, ...commands: string[]): void {
  for (const command of commands) output(node.inside(["sh", "-c", command]))
}
