import type { Call, Outcome, Result } from "./call.ts"
import type { NetworkList, NetworkPlugin } from "./cnitool.ts"
import type { Node } from "./node.ts"

/** The pod that is attached, and the runtime's arguments by capability name. */
export interface Attachment extends Omit<Call, "command" | "config" | "stdin"> {
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
}

/** One pod's attachment to a network list, driven call by call as libcni does it. */
export class Chain {
  readonly node: Node
  readonly list: NetworkList
  readonly attachment: Attachment
  #result: Result | undefined

  constructor(node: Node, list: NetworkList, attachment: Attachment) {
    this.node = node
    this.list = list
    this.attachment = attachment
  }

  /** The outcome of each plugin called, the last one being the failure if there is one. */
  add(): Outcome[] {
    this.#result = undefined
    const outcomes: Outcome[] = []
    for (const plugin of this.list.plugins) {
      const outcome = this.#call("ADD", plugin, this.#result)
      outcomes.push(outcome)
      if (outcome.exitCode !== 0) break
      this.#result = outcome.result
    }
    return outcomes
  }

  check(): Outcome[] {
    return this.list.plugins.map((plugin) => this.#call("CHECK", plugin, this.#result))
  }

  /** In reverse order; below 0.4.0 a plugin is not told the result of ADD. */
  del(): Outcome[] {
    const told = (this.list.cniVersion ?? "0.1.0") >= "0.4.0" ? this.#result : undefined
    return [...this.list.plugins].reverse().map((plugin) => this.#call("DEL", plugin, told))
  }

  #call(command: string, plugin: NetworkPlugin, prevResult: Result | undefined): Outcome {
    const { capabilityArgs = {}, ...attachment } = this.attachment
    const wanted = Object.entries(capabilityArgs).filter(([name]) => plugin.capabilities?.[name])
    const config = {
      ...plugin,
      name: this.list.name,
      ...(this.list.cniVersion !== undefined && { cniVersion: this.list.cniVersion }),
      ...(wanted.length > 0 && { runtimeConfig: Object.fromEntries(wanted) }),
      ...(prevResult && { prevResult }),
    }
    return this.node.call(plugin.type, { ...attachment, command, config })
  }
}
