import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { ask, type Transport } from "../lab/echo.ts"
import { binDirectory } from "../lab/executables.ts"
import { Machine } from "../lab/machine.ts"
import { View } from "../lab/namespace.ts"
import { Node, type Pod } from "../lab/node.ts"
import { BASH, type Finished, output, run, runAsync } from "../lab/run.ts"
import { snapshotNamespace } from "../lab/snapshot.ts"

const CACHE = resolve(fileURLToPath(import.meta.url), "../../../.cache/clients")
const ARCHIVE = join(CACHE, "image.tar")
export const IMAGE = "cni-ts.test/container:1"

/** The machine's own addresses, and those of the neighbour on its network. */
export const HERE = { ipv4: "198.51.100.1", ipv6: "fd00:51::1" }
export const THERE = { ipv4: "198.51.100.2", ipv6: "fd00:51::2" }

/** The environment of daemons and clients. */
export const PROGRAMS = { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" }

/** Another network of the neighbour's; the machine has a link to it and no address. */
export const ELSEWHERE = { subnet: "203.0.113.0/24", neighbour: "203.0.113.2", link: "spare" }

export interface Place {
  readonly node: Node
  readonly neighbour: Pod
  readonly machine: Machine
}

/** A machine of Debian 12 with our executables alone in /opt/cni/bin, and a neighbour on its network. */
export async function startMachine(): Promise<Place> {
  const node = new Node()
  const neighbour = connectNeighbour(node)
  const machine = await Machine.start(node, join(CACHE, "root"))
  output(["cp", "-a", binDirectory(), machine.path("/opt/cni/bin")])
  output(["cp", ARCHIVE, machine.path("/image.tar")])
  write(machine, "/etc/hosts", "127.0.0.1 localhost\n")
  write(machine, "/etc/resolv.conf", `nameserver ${THERE.ipv4}\n`)
  return { node, neighbour, machine }
}

/** Writes a file of a machine. */
export function write(machine: Machine, path: string, text: string): void {
  output(["mkdir", "-p", dirname(machine.path(path))])
  writeFileSync(machine.path(path), text)
}

function connectNeighbour(node: Node): Pod {
  const neighbour = node.pod()
  node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", neighbour.name)
  for (const [view, link, { ipv4, ipv6 }] of [[node, "uplink", HERE] as const, [neighbour, "eth0", THERE] as const]) {
    view.ip("addr", "add", `${ipv4}/24`, "dev", link)
    view.ip("addr", "add", `${ipv6}/64`, "dev", link, "nodad")
    view.ip("link", "set", link, "up")
  }
  node.ip("link", "add", ELSEWHERE.link, "type", "veth", "peer", "name", "eth1", "netns", neighbour.name)
  node.ip("link", "set", ELSEWHERE.link, "up")
  neighbour.ip("addr", "add", `${ELSEWHERE.neighbour}/24`, "dev", "eth1")
  neighbour.ip("link", "set", "eth1", "up")
  node.ip("route", "add", "default", "via", THERE.ipv4)
  node.ip("-6", "route", "add", "default", "via", THERE.ipv6)
  return neighbour
}

/** Those of an ingress policy are a bridge's, and stay when its last container goes: see the page of `firewall`. */
function withoutBridgeRules(ruleset: unknown): unknown {
  const { nftables } = ruleset as { nftables: readonly { rule?: { chain: string } }[] }
  return nftables.filter(({ rule }) => !rule?.chain.startsWith("CNI-ISOLATION-STAGE-"))
}

/** The first address of a container's interface. */
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
  /** What every container is run with. */
  abstract readonly always: readonly string[]

  protected constructor({ node, neighbour, machine }: Place) {
    this.node = node
    this.neighbour = neighbour
    this.machine = machine
  }

  /** A command, whatever comes of it. */
  try(...args: string[]): Finished {
    return run(this.#command(args), { env: PROGRAMS })
  }

  /** As `try`, without waiting. */
  tryAsync(...args: string[]): Promise<Finished> {
    return runAsync(this.#command(args), { env: PROGRAMS })
  }

  /** What a command that must succeed prints. */
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

  /** The command of `run`. */
  runCommand(name: string, ...options: string[]): string[] {
    const ports = Array.from({ length: 10 }, (_, i) => `${80 + i}`)
    return ["run", "-d", "--name", name, ...this.always, ...options, IMAGE, "answer", ...ports]
  }

  remove(...names: string[]): void {
    this.do("rm", "-f", ...names)
  }

  /** Networks of that name are removed by `removeAll`. */
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

  /** The container's first process, as the machine numbers it. */
  pid(name: string): string {
    return this.do("inspect", name, "--format", "{{.State.Pid}}")
  }

  /** The container's network. */
  view(name: string): View {
    return new View(this.machine.path(`/proc/${this.pid(name)}/ns/net`))
  }

  /** From whom a container hears a question that the neighbour sends to a port of the machine. */
  askFromOutside(port: number, transport: Transport = "tcp", address = HERE.ipv4): string | undefined {
    return ask(this.neighbour, address, port, { transport, timeoutSeconds: 10 })?.trim()
  }

  /** All that containers and networks may leave, as soon as nobody is at work any more. */
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

  /** A container that is gone has its last program clean up in the background. */
  async #idle(): Promise<void> {
    const isDaemon = (line: string) => this.daemons.some((name) => line.endsWith(` (${name})`))
    for (const until = Date.now() + 30_000; ; await new Promise((done) => setTimeout(done, 50))) {
      const busy = this.machine.processes().filter((line) => !isDaemon(line))
      if (busy.length === 0) return
      if (Date.now() > until) throw new Error(`still running: ${busy.join(", ")}`)
    }
  }

  /** The addresses that are leased, each below its network's name. */
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
