import type { Call, Outcome, Result } from "../lab/call.ts"
import type { NetworkPlugin } from "../lab/cnitool.ts"
import type { HostileNetwork } from "./networks.ts"
import type { World } from "./world.ts"

/** One attachment as a runtime tells it, and by capability what its user asks for. */
export interface Wish {
  readonly path: string
  readonly containerId: string
  readonly ifname?: string
  readonly args?: string
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
}

/** An attachment that many may call at a time, each chain in the order in which libcni does. */
export class Attachment {
  readonly #world: World
  readonly network: HostileNetwork
  readonly wish: Wish
  /** Of the last ADD that succeeded. */
  result: Result | undefined

  constructor(world: World, network: HostileNetwork, wish: Wish) {
    this.#world = world
    this.network = network
    this.wish = wish
  }

  /** Returns if all plugins succeeded; `between` runs before each. */
  async add(between?: () => Promise<void>): Promise<boolean> {
    let result: Result | undefined
    for (const plugin of this.network.list.plugins) {
      await between?.()
      const outcome = await this.ask("ADD", plugin, result)
      if (outcome.exitCode !== 0) return false
      result = outcome.result
    }
    this.result = result
    return true
  }

  /** Returns if all plugins succeeded. */
  async check(): Promise<boolean> {
    for (const plugin of this.network.list.plugins) {
      if ((await this.ask("CHECK", plugin, this.result)).exitCode !== 0) return false
    }
    return true
  }

  async del(): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (const plugin of [...this.network.list.plugins].reverse()) {
      outcomes.push(await this.ask("DEL", plugin, this.result))
    }
    return outcomes
  }

  /** As `del`, where nothing excuses a failure. */
  async leave(): Promise<void> {
    for (const { exitCode, stdout, stderr } of await this.del()) {
      if (exitCode !== 0) this.#world.chronicle.fail(`DEL of ${this.wish.containerId} failed: ${stdout}${stderr}`)
    }
  }

  ask(command: string, plugin: NetworkPlugin, prevResult?: Result): Promise<Outcome> {
    const { capabilityArgs = {}, path: netns, ...call } = this.wish
    const wanted = Object.entries(capabilityArgs).filter(([name]) => plugin.capabilities?.[name])
    const more = {
      ...(wanted.length > 0 && { runtimeConfig: Object.fromEntries(wanted) }),
      ...(prevResult && { prevResult }),
    }
    return this.#world.call(this.network, plugin, { ...call, command, netns }, more)
  }
}

/** GC of a network by all its plugins, these being whom the runtime knows; nobody is named without them. */
export async function collect(world: World, network: HostileNetwork, valid?: readonly Wish[]): Promise<Outcome[]> {
  const named = valid?.map(({ containerId, ifname = "eth0" }) => ({ containerID: containerId, ifname }))
  const more = named ? { "cni.dev/valid-attachments": named } : {}
  const outcomes: Outcome[] = []
  for (const plugin of network.list.plugins) {
    const call: Call = { command: "GC" }
    outcomes.push(await world.call(network, plugin, call, more))
  }
  return outcomes
}
