import type { Implementation } from "../lab/executables.ts"
import type { Pod } from "./pod.ts"
import { type Cost, type Crowd, type Program, timed, timedAll } from "./stopwatch.ts"

export type Stack = "IPv4" | "dual-stack"
export type Command = "ADD" | "CHECK" | "DEL"

/** The plugins whose calls are measured. */
export type Measured = "bridge" | "ptp" | "macvlan" | "ipvlan" | "vlan" | "host-device" | "tap" | "dummy"

/** One implementation with one network: a bridge and leases of its own, or pods on links to the node, on its `uplink`, or with a device of it. */
export class Contender {
  readonly name: string
  readonly #program: string
  readonly #bin: string
  readonly #network: object

  /** `dir` holds the executables and the leases; `subnets` must be no other network's. `keys` are laid over the configuration. */
  constructor(
    implementation: Implementation,
    dir: string,
    subnets: readonly string[],
    plugin: Measured = "bridge",
    keys: object = {},
  ) {
    this.name = `${implementation}-${subnets.length === 1 ? "4" : "6"}`
    this.#bin = `${dir}/${implementation}`
    this.#program = `${this.#bin}/${plugin}`
    const ranges = subnets.map((subnet) => [{ subnet }])
    this.#network = {
      cniVersion: "1.0.0",
      name: this.name,
      type: plugin,
      ...keysOf(plugin, this.name),
      mtu: 1450,
      ipam: { type: "host-local", dataDir: `${dir}/leases`, ranges, routes: [{ dst: "10.0.0.0/8" }] },
      ...keys,
    }
  }

  /** ADD also notes its result, which the pod's later calls hand over. */
  call(command: Command, pod: Pod): Cost {
    const { stdout, ...cost } = timed(this.#call(command, pod))
    if (command === "ADD") noteResult(pod, stdout)
    return cost
  }

  /** Calls for all the pods at once. */
  callAll(command: Command, pods: readonly Pod[]): Crowd {
    const crowd = timedAll(pods.map((pod) => this.#call(command, pod)))
    if (command === "ADD") for (const [at, { stdout }] of crowd.members.entries()) noteResult(pods[at], stdout)
    return crowd
  }

  #call(command: Command, pod: Pod): Program {
    return { argv: [this.#program], env: this.#environment(command, pod), stdin: this.#stdin(pod) }
  }

  #environment(command: Command, { containerId, namespace }: Pod): Record<string, string> {
    return {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: namespace.path,
      CNI_IFNAME: "eth0",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${containerId}`,
      CNI_PATH: this.#bin,
    }
  }

  #stdin({ result }: Pod): string {
    return JSON.stringify({ ...this.#network, ...(result && { prevResult: result }) })
  }
}

function noteResult(pod: Pod | undefined, stdout: string): void {
  if (pod) pod.result = JSON.parse(stdout)
}

function keysOf(plugin: Measured, name: string): object {
  if (plugin === "bridge") return { bridge: name, isDefaultGateway: true }
  if (plugin === "host-device") return { device: deviceOf(name) }
  if (plugin === "vlan") return { master: UPLINK, vlanId: name.startsWith("ours") ? 5 : 6 } // once on a link
  return ON_UPLINK.has(plugin) ? { master: UPLINK } : {}
}

/** Returns the name of the device that a network's pods are given, one after the other. */
export function deviceOf(network: string): string {
  return `d-${network}`
}

/** The link that those of these plugins are on. */
export const UPLINK = "uplink"
export const ON_UPLINK: ReadonlySet<Measured> = new Set(["macvlan", "ipvlan", "vlan"])
