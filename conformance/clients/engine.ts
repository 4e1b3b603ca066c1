import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { ask, type Transport } from "../lab/echo.ts"
import type { Machine } from "../lab/machine.ts"
import { View } from "../lab/namespace.ts"
import type { Node, Pod } from "../lab/node.ts"
import { BASH, type Finished, output, run, runAsync } from "../lab/run.ts"
import { snapshotNamespace } from "../lab/snapshot.ts"
import { HERE, IMAGE, type Place, PROGRAMS } from "./place.ts"

/** Leaves out the rules of an ingress policy, which are a bridge's and stay when its last container goes: see the page of `firewall`. */
function withoutBridgeRules(ruleset: unknown): unknown {
  const { nftables } = ruleset as { nftables: readonly { rule?: { chain: string } }[] }
  return nftables.filter(({ rule }) => !rule?.chain.startsWith("CNI-ISOLATION-STAGE-"))
}

/** Returns the first address of a container's interface. */
export function addressOf(container: View, link = "eth0"): string {
  return `${container.addresses(link)[0]}`.replace(/\/.*/, "")
}

const WAIT_FOR_LAST_PORT =
  "for _ in {1..500}; do : </dev/tcp/127.0.0.1/89 && exit; sleep 0.02; done 2>/dev/null; exit 1"

/** A program that runs containers, such as podman, on a machine of its own. */
export abstract class Engine implements AsyncDisposable {
  readonly node: Node
  readonly neighbour: Pod
  readonly machine: Machine
  readonly #networks = new Set<string>()
  /** The command line before the command. */
  protected abstract readonly program: readonly string[]
  /** Programs that run all the time. */
  protected abstract readonly daemons: readonly string[]
  /** The arguments that every container is run with. */
  abstract readonly always: readonly string[]

  protected constructor({ node, neighbour, machine }: Place) {
    this.node = node
    this.neighbour = neighbour
    this.machine = machine
  }

  /** Runs a command, whatever comes of it. */
  try(...args: string[]): Finished {
    return run(this.#command(args), { env: PROGRAMS })
  }

  /** Does as `try()`, without waiting. */
  tryAsync(...args: string[]): Promise<Finished> {
    return runAsync(this.#command(args), { env: PROGRAMS })
  }

  /** Returns what a command prints; throws if it fails. */
  do(...args: string[]): string {
    return output(this.#command(args), { env: PROGRAMS }).trim()
  }

  #command(args: readonly string[]): string[] {
    return this.machine.inside([...this.program, ...args])
  }

  /** Runs a container with those options in the background, and returns when it answers on its ports 80 to 89. */
  run(name: string, ...options: string[]): View {
    this.do(...this.runCommand(name, ...options))
    return this.answering(name)
  }

  /** Returns the container's network when it answers. */
  answering(name: string): View {
    const view = this.view(name)
    output(view.inside([...BASH, WAIT_FOR_LAST_PORT]))
    return view
  }

  /** Returns the command of `run()`. */
  runCommand(name: string, ...options: string[]): string[] {
    const ports = Array.from({ length: 10 }, (_, i) => `${80 + i}`)
    return ["run", "-d", "--name", name, ...this.always, ...options, IMAGE, "answer", ...ports]
  }

  remove(...names: string[]): void {
    this.do("rm", "-f", ...names)
  }

  /** Creates a network; removeAll() removes it. */
  createNetwork(name: string, ...options: string[]): void {
    this.do("network", "create", ...options, name)
    this.#networks.add(name)
  }

  /** Removes every container, then the networks. */
  removeAll(): void {
    const containers = this.do("ps", "-aq").split("\n").filter(Boolean)
    if (containers.length > 0) this.remove(...containers)
    if (this.#networks.size > 0) this.do("network", "rm", ...this.#networks)
    this.#networks.clear()
  }

  /** Returns the number of the container's first process on the machine. */
  pid(name: string): string {
    return this.do("inspect", name, "--format", "{{.State.Pid}}")
  }

  /** Looks into the container's network. */
  view(name: string): View {
    return new View(this.machine.path(`/proc/${this.pid(name)}/ns/net`))
  }

  /** Has the neighbour ask a port of the machine, and returns from whom the container there hears it; undefined without an answer. */
  askFromOutside(port: number, transport: Transport = "tcp", address = HERE.ipv4): string | undefined {
    return ask(this.neighbour, address, port, { transport, timeoutSeconds: 10 })?.trim()
  }

  /** Returns all that containers and networks may leave, as soon as nobody is at work any more. */
  async state(): Promise<object> {
    await this.#idle()
    const { rules, ...rest } = snapshotNamespace(this.node)
    return {
      ...rest,
      rules: withoutBridgeRules(rules),
      leases: this.leases(),
      namespaces: this.#list("/run/netns"),
      results: this.#list("/var/lib/cni/results"),
    }
  }

  /** Waits for what cleans up in the background behind a container that is gone. */
  async #idle(): Promise<void> {
    const isDaemon = (line: string) => this.daemons.some((name) => line.endsWith(` (${name})`))
    for (const until = Date.now() + 30_000; ; await new Promise((done) => setTimeout(done, 50))) {
      const busy = this.machine.processes().filter((line) => !isDaemon(line))
      if (busy.length === 0) return
      if (Date.now() > until) throw new Error(`still running: ${busy.join(", ")}`)
    }
  }

  /** Lists the addresses that are leased, each below its network's name. */
  leases(): string[] {
    const networks = "/var/lib/cni/networks"
    const files = this.#list(networks).flatMap((name) =>
      this.#list(join(networks, name)).map((file) => `${name}/${file}`),
    )
    return files.filter((path) => /\/[0-9a-f][0-9a-f.:]+$/.test(path))
  }

  #list(directory: string): string[] {
    const path = this.machine.path(directory)
    return existsSync(path) ? readdirSync(path).sort() : []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]()
    this.node[Symbol.dispose]()
  }
}
