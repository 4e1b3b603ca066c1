import type { Call, Outcome } from "../lab/call.ts"
import type { NetworkPlugin } from "../lab/cnitool.ts"
import { Node, Pod } from "../lab/node.ts"
import { output, runAsync } from "../lab/run.ts"
import { Attachment, collect, type Wish } from "./attachment.ts"
import { Chronicle } from "./chronicle.ts"
import { Gate } from "./gate.ts"
import { installAnything } from "./ipam.ts"
import { type HostileNetwork, type Networks, networksOf, SHARED } from "./networks.ts"
import { type Baseline, baselineOf, finalDifferences, harm, stolenAddresses } from "./observed.ts"
import { NODE, Witness } from "./witness.ts"

/** A node with somebody outside of it, witnesses, and the networks on which attackers are. */
export class World implements Disposable {
  readonly node = new Node()
  readonly dualStack: boolean
  readonly chronicle: Chronicle
  readonly gate = new Gate()
  readonly networks: Networks
  readonly client = this.node.pod()
  readonly witnesses: readonly Witness[]
  #baseline: Baseline | undefined
  readonly #pods = new Set<Pod>()
  #made = 0

  constructor(seconds: number, dualStack: boolean) {
    this.dualStack = dualStack
    this.chronicle = new Chronicle(seconds)
    this.networks = networksOf(this.node, dualStack)
    this.witnesses = SHARED.map((network, index) => new Witness(this, network, 8080 + index))
  }

  /** Connects the witnesses; what any pod of a network leaves on its node by design is there when this returns. */
  async begin(): Promise<void> {
    installAnything(this.node)
    this.#plugIn()
    for (const witness of this.witnesses) await witness.connect()
    for (const [name, network] of Object.entries(this.networks)) {
      const pod = this.pod()
      const ips = name === "users" ? { ips: ["198.18.9.9/24", "2001:db8:9::9/64"] } : {}
      const portMappings = [{ hostPort: 7000, containerPort: 80, protocol: "tcp" }]
      const first = new Attachment(this, network, { ...pod, capabilityArgs: { ...ips, portMappings } })
      if (!(await first.add())) this.chronicle.fail(`nobody can be attached to ${name}`)
      await first.leave()
      this.remove(pod)
    }
    for (const witness of this.witnesses) await witness.testify()
    if (this.chronicle.failures.length > 0) throw new Error(this.chronicle.summary())
    this.#baseline = baselineOf(this)
  }

  /** A pod that may go before the node does. */
  pod(name = `${this.node.name}-x${++this.#made}`): Pod {
    const pod = new Pod(name)
    this.#pods.add(pod)
    return pod
  }

  remove(pod: Pod): void {
    if (this.#pods.delete(pod)) pod[Symbol.dispose]()
  }

  /** Calls a plugin; its answer has to be one that CNI knows. */
  async call(network: HostileNetwork, plugin: NetworkPlugin, call: Call, more: object): Promise<Outcome> {
    const { cniVersion, name } = network.list
    const { path, env, alone } = network
    const whole: Call = { path, env, ...call, config: { cniVersion, name, ...plugin, ...more } }
    const ask = () => this.node.callAsync(plugin.type, whole)
    const outcome = await (alone ? ask() : this.gate.shared(ask))
    const { exitCode, stdout, error, result } = outcome
    const said = exitCode === 0 ? "" : ` ${error?.code}`
    this.chronicle.note(`${call.command}${said}`, `${name}/${plugin.type} ${call.containerId} ${error?.msg ?? ""}`)
    const refused = exitCode === 1 && typeof error?.code === "number" && error.code !== 999 && error.msg !== ""
    const answered = call.command === "ADD" ? result !== undefined : stdout === ""
    if (!refused && !(exitCode === 0 && answered)) {
      this.chronicle.fail(`no answer of CNI: ${exitCode} ${stdout} ${outcome.stderr}`)
    }
    return outcome
  }

  /** Repeats `step` until the time is over, at least once. */
  async repeat(kind: string, step: () => Promise<void>): Promise<void> {
    do {
      await step()
      this.chronicle.note(kind)
    } while (!this.chronicle.over)
  }

  /** Fails if anything that was there before the attack is gone or looks another way. */
  observe(): void {
    for (const line of this.#baseline ? harm(this, this.#baseline) : []) this.chronicle.fail(line)
  }

  /** Fails if a bridge believes a witness to be where an attacker is. */
  async observeBridges(): Promise<void> {
    const { ports } = this.#baseline ?? { ports: [] }
    await this.gate.shared(async () => {
      for (const line of stolenAddresses(this, ports)) this.chronicle.fail(line)
    })
  }

  witnessesOf({ list }: HostileNetwork): Wish[] {
    return this.witnesses.filter(({ name }) => name === list.name).map(({ wish }) => wish)
  }

  /** Ends when nothing is left of the attackers, or tells what is. */
  async end(): Promise<string[]> {
    for (const pod of this.#pods) this.remove(pod)
    const left = () => (this.#baseline ? finalDifferences(this, this.#baseline) : ["nothing has begun"])
    // The kernel takes namespaces down in the background.
    for (let turn = 0; turn < 100 && left().length > 0; turn++) await runAsync(["sleep", "0.1"])
    const before = left()
    for (const network of Object.values(this.networks)) {
      for (const { exitCode, stdout } of await collect(this, network, this.witnessesOf(network))) {
        if (exitCode !== 0) this.chronicle.fail(`GC failed: ${stdout}`)
      }
    }
    for (const witness of this.witnesses) await witness.testify()
    return [...before, ...left()]
  }

  [Symbol.dispose](): void {
    for (const witness of this.witnesses) witness[Symbol.dispose]()
    for (const pod of this.#pods) {
      for (const pid of pod.processes()) process.kill(pid, "SIGKILL")
      this.remove(pod)
    }
    this.node[Symbol.dispose]()
  }

  /** Connects the client with the node. */
  #plugIn(): void {
    const { node, client } = this
    node.ip("link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", client.name)
    for (const [side, link, last] of [
      [node, "wan0", 1],
      [client, "eth0", 9],
    ] as const) {
      side.sysctl(`net/ipv6/conf/${link}/accept_dad`, "0") // or nobody answers in the first second
      side.ip("link", "set", link, "up")
      side.ip("addr", "add", `${NODE[4].replace(/1$/, `${last}`)}/24`, "dev", link)
      side.ip("addr", "add", `${NODE[6].replace(/1$/, `${last}`)}/64`, "dev", link, "nodad")
    }
    output(client.inside(["ip", "route", "add", "10.244.0.0/16", "via", NODE[4]]))
    output(client.inside(["ip", "route", "add", "fd00:10:244::/48", "via", NODE[6]]))
  }
}
