import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { NetworkList } from "../../lab/cnitool.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Machine } from "../../lab/machine.ts"
import type { View } from "../../lab/namespace.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type NamespaceSnapshot, snapshotNamespace } from "../../lab/snapshot.ts"
import { Containerd } from "./containerd.ts"

/** The network of a cluster's node: pods with IPv4 and IPv6, host ports and bandwidth limits. */
export const PODNET: NetworkList = {
  cniVersion: "1.0.0",
  name: "podnet",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      hairpinMode: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
        routes: [{ dst: "10.96.0.0/12" }],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ],
}

/**
 * A script for bash that asks a pod where it is called from: arguments are address and port. The program in the pod may
 * start to listen a moment after the pod has been reported.
 */
export const ASK = 'for _ in {1..50}; do timeout 2 cat <"/dev/tcp/$0/$1" && exit; sleep 0.1; done 2>/dev/null'

export const NODE_ADDRESS = "198.51.100.1"
export const CLIENT_ADDRESS = "198.51.100.2"

/** A node that runs containerd, and a client on the node's network. */
export class ClusterNode {
  readonly network: Node
  readonly client: Pod
  readonly containerd: Containerd

  private constructor(network: Node, client: Pod, containerd: Containerd) {
    this.network = network
    this.client = client
    this.containerd = containerd
  }

  /** Plugins come from the directory that `plugins` makes below the node's own, or names. */
  static async start(list: NetworkList, plugins: (directory: string) => string): Promise<ClusterNode> {
    const network = new Node()
    const client = connectClient(network)
    const machine = await Machine.start(network)
    const containerd = await Containerd.start(machine, network.dir, plugins(network.dir), list)
    return new ClusterNode(network, client, containerd)
  }

  /** Has one pod come and go: it brings what no pod takes away, such as the bridge and the tables of rules. */
  async settle(): Promise<void> {
    await this.containerd.runPod({ port_mappings: [{ container_port: 8080, host_port: 1 }] })
    this.containerd.removePods()
  }

  /** Removes what libcni was writing when it was killed, as doctor says (broken-memory): containerd before 2.0 cannot stop those pods. */
  removeTornMemory(): void {
    const results = this.containerd.machine.path("/var/lib/cni/results")
    for (const name of readdirSync(results)) {
      try {
        JSON.parse(readFileSync(join(results, name), "utf8"))
      } catch {
        rmSync(join(results, name))
      }
    }
  }

  /** Has the plugins remove what is no pod's, as runtimes do that know GC: containerd does from 2.0 on. */
  collect(): void {
    const { name, plugins } = PODNET
    for (const plugin of plugins) {
      const program = join(binDirectory(), plugin.type)
      const call = ["env", "CNI_COMMAND=GC", `CNI_PATH=${binDirectory()}`, program]
      const stdin = JSON.stringify({ ...plugin, name, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] })
      output(this.containerd.machine.inside(call), { stdin })
    }
  }

  /** Every address that is leased on the node. */
  leases(): string[] {
    const networks = this.containerd.machine.path("/var/lib/cni/networks")
    if (!existsSync(networks)) return []
    return readdirSync(networks).flatMap((name) => readdirSync(join(networks, name)).filter(isAddress))
  }

  limits(veth: string): Limits {
    return limitsOf(this.network, veth)
  }

  snapshot(): NamespaceSnapshot & { leases: readonly string[] } {
    return { ...snapshotNamespace(this.network), leases: this.leases() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.containerd.machine[Symbol.asyncDispose]()
    this.network[Symbol.dispose]()
  }
}

/** Bits per second that a pod may receive and send. */
export interface Limits {
  readonly ingress: number | undefined
  readonly egress: number | undefined
}

/** Returns a pod's limits as its veth is set up for them. */
export function limitsOf(node: View, veth: string): Limits {
  const tc = (...args: string[]) => JSON.parse(output(node.inside(["tc", "-j", ...args])))
  const rate = (device: string) => tbf(tc("qdisc", "show", "dev", device))
  return { ingress: rate(veth), egress: egress(tc("-s", "filter", "show", "dev", veth, "ingress"), rate) }
}

function connectClient(network: Node): Pod {
  const client = network.pod()
  network.ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", client.name)
  network.ip("addr", "add", `${NODE_ADDRESS}/24`, "dev", "uplink")
  network.ip("link", "set", "uplink", "up")
  client.ip("addr", "add", `${CLIENT_ADDRESS}/24`, "dev", "eth0")
  client.ip("link", "set", "eth0", "up")
  return client
}

/** The lease directory also holds a lock, an index and the last address of each range. */
function isAddress(file: string): boolean {
  return /^[0-9a-f][0-9a-f.:]+$/.test(file)
}

interface Qdisc {
  readonly kind: string
  readonly options: { readonly rate?: number }
}

interface Filter {
  readonly options?: { readonly actions?: readonly { kind: string; to_dev?: string; rate?: number }[] }
}

function tbf(qdiscs: readonly Qdisc[]): number | undefined {
  const bytes = qdiscs.find((qdisc) => qdisc.kind === "tbf")?.options.rate
  return bytes === undefined ? undefined : bytes * 8
}

/** Returns the rate of a policer, or if the kernel has none, of the device's queue that packets are sent through. */
function egress(filters: readonly Filter[], rate: (device: string) => number | undefined): number | undefined {
  const [action] = filters.flatMap((filter) => filter.options?.actions ?? [])
  return action?.to_dev ? rate(action.to_dev) : action?.rate && action.rate * 8
}
