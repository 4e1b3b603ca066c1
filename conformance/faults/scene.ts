import type { Call, Outcome, Result } from "../lab/call.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { type NamespaceSnapshot, type NodeSnapshot, snapshot, snapshotNamespace } from "../lab/snapshot.ts"
import { differences } from "./differences.ts"
import { BRIDGE, executableOf, type PluginConfig, type Subject } from "./subjects.ts"

/** A verb whose calls can be disturbed. */
export type Verb = "ADD" | "DEL"

export interface Step {
  readonly plugin: string
  readonly call: Call
}

/** An ADD behind others, and the node with what those made. */
interface Behind {
  readonly step: Step
  readonly before: NodeSnapshot
}

/** A node with the subject's network, and the pod whose calls are disturbed. */
export class Scene implements Disposable {
  readonly subject: Subject
  readonly node = new Node()
  readonly pod: Pod
  /** The node as it is whenever the pod is not attached. */
  readonly untouched: NodeSnapshot
  readonly #other: Pod | undefined
  readonly #otherBefore: NamespaceSnapshot | undefined
  readonly #plugins: readonly PluginConfig[]
  #behind: Behind | undefined

  constructor(subject: Subject) {
    this.subject = subject
    subject.before?.(this.node)
    this.#plugins = subject.plugins(this.node)
    this.#other = subject.beside && this.node.pod()
    this.pod = this.node.pod()
    if (this.#other) this.#attachOther(this.#other)
    // Whatever a network leaves on its node by design (the bridge, whose turn it is) is there from now on.
    this.mustSucceed("ADD")
    this.mustSucceed("DEL")
    this.untouched = this.observe()
    this.#otherBefore = this.#other && snapshotNamespace(this.#other)
  }

  /** The calls for one verb in libcni's order. `told` is the result that the runtime remembers. */
  steps(command: string, told?: Result): Step[] {
    const steps = this.#plugins.map((config) => this.#step(command, config, this.pod, told))
    return command === "DEL" ? steps.reverse() : steps
  }

  perform({ plugin, call }: Step): Outcome {
    return this.node.call(plugin, call)
  }

  /** Attaches the pod with the first `count` plugins of the chain, all unless said. Stops where one fails. */
  attach(count = this.#plugins.length): { readonly failed?: Outcome; readonly result?: Result | undefined } {
    let result: Result | undefined
    for (const config of this.#plugins.slice(0, count)) {
      const outcome = this.perform(this.#step("ADD", config, this.pod, result))
      if (outcome.exitCode !== 0) return { failed: outcome, result }
      result = outcome.result
    }
    return { result }
  }

  /** Returns the verb's calls that are to be disturbed: those of the plugins that have no line of their own. */
  positions(verb: Verb): number[] {
    const { first = 0 } = this.subject
    const all = this.#plugins.map((_, position) => position)
    return verb === "ADD" ? all.slice(first) : all.slice(0, all.length - first)
  }

  /** Makes all calls that come before the disturbed one, the `position`th of its verb, and returns that. */
  prepare(verb: Verb, position: number): Step {
    this.forget()
    const told = verb === "ADD" ? this.attach(position).result : this.mustSucceed("ADD")
    const steps = this.steps(verb, told)
    const next = steps[position]
    if (!next) throw new Error(`the chain has no plugin ${position}`)
    if (verb === "DEL") for (const step of steps.slice(0, position)) this.perform(step)
    return next
  }

  /** As prepare() of an ADD behind others, which are called once until remove(). */
  prepareBehind(position: number): Behind {
    this.#behind ??= { step: this.prepare("ADD", position), before: this.observeAround() }
    return this.#behind
  }

  /** Removes what was attached. Returns what is wrong then. */
  remove(told?: Result): string[] {
    this.#behind = undefined
    return [...this.failuresOf("DEL", told), ...differences(this.untouched, this.observe())]
  }

  /** Calls a verb; returns what its failures say, none if all went well. */
  failuresOf(command: string, told?: Result): string[] {
    return this.failuresOfSteps(this.steps(command, told))
  }

  failuresOfSteps(steps: readonly Step[]): string[] {
    return steps.flatMap((step) => {
      const { exitCode, stdout, stderr } = this.perform(step)
      return exitCode === 0 ? [] : [`${step.call.command}: ${stdout}${stderr}`]
    })
  }

  mustSucceed(command: Verb, told?: Result): Result | undefined {
    const { failed, result } = command === "ADD" ? this.attach() : { failed: undefined, result: undefined }
    const failures = command === "ADD" ? (failed ? [failed.stdout] : []) : this.failuresOf(command, told)
    if (failures.length > 0) throw new Error(`undisturbed ${command}: ${failures.join("; ")}`)
    return result
  }

  /** Makes the node a new one for the network, if that is what the subject is about. */
  forget(): void {
    this.#forget(`ip link del ${BRIDGE} 2>/dev/null; ${FORWARDING}`)
  }

  #forget(script: string): void {
    if (!this.#other) output(this.node.inside(["sh", "-c", script]))
  }

  /** As observeNode, but for the other pod: it is looked at once, in the end. */
  observe(): NodeSnapshot {
    this.forget()
    return observeNode(this.node, [this.pod])
  }

  /** As observe(), around an ADD that fails: it takes away the bridge that it made, while that forwarding is on may stay. */
  observeAround(): NodeSnapshot {
    this.#forget(FORWARDING)
    return observeNode(this.node, [this.pod])
  }

  /** Returns what has changed at the other pod, in all this time. */
  harmToOther(): string[] {
    return this.#otherBefore && this.#other ? differences(this.#otherBefore, snapshotNamespace(this.#other)) : []
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }

  #attachOther(other: Pod): void {
    let result: Result | undefined
    for (const config of this.#plugins) result = this.perform(this.#step("ADD", config, other, result)).result
  }

  #step(command: string, config: PluginConfig, netns: Pod, prevResult: Result | undefined): Step {
    const { runtimeConfig, env } = this.subject
    const perPod = command === "GC" || command === "STATUS" ? {} : { netns }
    const whole = {
      cniVersion: "1.1.0",
      name: "net",
      ...config,
      ...(runtimeConfig && netns === this.pod && { runtimeConfig }),
      ...(prevResult && { prevResult }),
      ...(command === "GC" && { "cni.dev/valid-attachments": this.#validAttachments() }),
    }
    return { plugin: executableOf(config), call: { command, ...perPod, config: whole, env } }
  }

  /** The other pod's: the disturbed one is not attached, as far as the runtime knows. */
  #validAttachments(): object[] {
    return this.#other ? [{ containerID: this.#other.containerId, ifname: "eth0" }] : []
  }
}

const FORWARDING = "echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding"

/** All that matters, but for whose turn it is to be leased an address. */
export function observeNode(node: Node, pods = node.pods): NodeSnapshot {
  const { files, ...rest } = snapshot(node, pods)
  const lasting = Object.entries(files).filter(([path]) => !/\/(lock|last_reserved_ip\.\d+)$/.test(path))
  return { ...rest, files: Object.fromEntries(lasting) }
}
