import { existsSync, mkdtempSync, readdirSync } from "node:fs"
import { join } from "node:path"
import {
  GenericContainer,
  getContainerRuntimeClient,
  type StartedNetwork,
  type StartedTestContainer,
} from "testcontainers"
import type { Implementation } from "../../lab/executables.ts"
import type { Machine } from "../../lab/machine.ts"
import { View } from "../../lab/namespace.ts"
import { run, runAsync } from "../../lab/run.ts"
import { Cri } from "../containerd/cri.ts"
import type { Docker } from "./docker.ts"
import { IMAGE, NODE_PROGRAMS } from "./image.ts"

/** kind's own nodes are privileged; this is what a node needs of that. */
class NodeContainer extends GenericContainer {
  constructor() {
    super(IMAGE)
    this.withAddedCapabilities("SYS_ADMIN", "NET_ADMIN")
    this.hostConfig.SecurityOpt = ["seccomp=unconfined", "apparmor=unconfined"]
  }
}

export interface NodeWish {
  readonly docker: Docker
  readonly network: StartedNetwork
  readonly conflist: object
}

/** A node in a container, as kind makes them: containerd, plugins in /opt/cni/bin, an address on the nodes' network. */
export class DockerNode {
  readonly cri: Cri
  readonly #machine: Machine
  readonly #container: StartedTestContainer
  readonly #network: string
  #pid = 0

  private constructor(wish: NodeWish, container: StartedTestContainer) {
    this.#machine = wish.docker.machine
    this.#container = container
    this.#network = wish.network.getName()
    this.cri = new Cri({ inside: (argv) => this.inside(argv), path: (inside) => this.path(inside), cgroup: "/pods" })
  }

  static async start(wish: NodeWish): Promise<DockerNode> {
    const state = mkdtempSync(join(wish.docker.network.dir, "node-"))
    const container = await new NodeContainer()
      .withNetwork(wish.network)
      .withTmpFs({ "/run": "exec" })
      .withBindMounts([
        { source: "/usr", target: "/usr", mode: "ro" },
        { source: "/etc/alternatives", target: "/etc/alternatives", mode: "ro" },
        { source: state, target: "/var/lib", mode: "rw" },
      ])
      .withCopyContentToContainer([
        { content: JSON.stringify(wish.conflist), target: "/etc/cni/net.d/10-net.conflist" },
      ])
      .start()
    const node = new DockerNode(wish, container)
    await node.#up()
    node.cri.importPauseImage("/opt/node/pause.tar")
    await node.install("ours")
    return node
  }

  /** As when the machine loses its power and comes back: /run is empty, /var/lib is as it was. */
  async restart(): Promise<void> {
    await this.#container.restart()
    await this.#up()
  }

  async #up(): Promise<void> {
    const { container } = await getContainerRuntimeClient()
    this.#pid = (await container.getById(this.#container.getId()).inspect()).State.Pid
    await this.cri.ready()
  }

  /** Puts an implementation's executables in the place of whatever was there, each by rename. */
  async install(implementation: Implementation): Promise<void> {
    const script = `cd /opt/cni/${implementation} && cp -a . /opt/cni/new && cd /opt/cni/new && mv -f * ../bin/ && rm -r /opt/cni/new`
    const done = await runAsync(this.inside(["sh", "-ec", script]))
    if (done.exitCode !== 0) throw new Error(`cannot install the plugins: ${done.stderr}`)
  }

  /** The node's name for Docker. */
  get name(): string {
    return this.#container.getName().replace("/", "")
  }

  /** Returns if the plugins of that implementation are the ones in /opt/cni/bin. */
  runs(implementation: Implementation): boolean {
    const same = ["cmp", "-s", "/opt/cni/bin/ptp", `/opt/cni/${implementation}/ptp`]
    return run(this.inside(same)).exitCode === 0
  }

  /** On the network that the nodes share. */
  get address(): string {
    return this.#container.getIpAddress(this.#network)
  }

  /** Makes the route to another node's pods, as a cluster's controller, or kind's daemon on each node, does. */
  routeTo(pods: string, node: DockerNode): void {
    this.view.ip("route", "replace", pods, "via", node.address)
  }

  /** The argument vector that runs `argv` on the node. */
  inside(argv: readonly string[]): string[] {
    const enter = ["nsenter", "-t", `${this.#pid}`, "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--"]
    return this.#machine.inside([...enter, "env", `PATH=${NODE_PROGRAMS}`, ...argv])
  }

  path(inside: string): string {
    return this.#machine.path(join(`/proc/${this.#pid}/root`, inside))
  }

  /** The node's own network. */
  get view(): View {
    return new View(this.#machine.path(`/proc/${this.#pid}/ns/net`))
  }

  /** Every address leased in that directory, which host-local keeps one file for. */
  leases(directory: string): string[] {
    const path = this.path(directory)
    return existsSync(path) ? readdirSync(path).filter((name) => /^\d+\.\d+\.\d+\.\d+$/.test(name)) : []
  }
}
