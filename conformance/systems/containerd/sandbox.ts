import type { View } from "../../lab/namespace.ts"
import type { Cri } from "./cri.ts"

export interface PortMapping {
  readonly container_port: number
  readonly host_port: number
  readonly protocol?: number
}

/** The pod that a kubelet would ask for; whatever is left out is as for a plain one. */
export interface SandboxWish {
  readonly name?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly port_mappings?: readonly PortMapping[]
  readonly dns_config?: { servers?: readonly string[]; searches?: readonly string[]; options?: readonly string[] }
  readonly hostNetwork?: boolean
}

const POD_NAMESPACE = 0
const NODE_NAMESPACE = 2

/** A PodSandboxConfig in the JSON that crictl reads. */
export function sandboxConfig(wish: SandboxWish & { name: string }, cgroup: string): object {
  const { name, hostNetwork = false, ...rest } = wish
  return {
    metadata: { name, namespace: "default", uid: `uid-of-${name}`, attempt: 1 },
    linux: {
      cgroup_parent: cgroup,
      security_context: { namespace_options: { network: hostNetwork ? NODE_NAMESPACE : POD_NAMESPACE } },
    },
    ...rest,
  }
}

interface Status {
  readonly status: {
    readonly state: string
    readonly network: { readonly ip: string; readonly additionalIps: readonly { ip: string }[] }
  }
  readonly info: {
    readonly cniResult?: unknown
    readonly runtimeSpec: { readonly linux: { readonly namespaces: readonly { type: string; path?: string }[] } }
  }
}

/** A pod that containerd made. */
export class PodSandbox {
  readonly id: string
  readonly #cri: Cri

  constructor(cri: Cri, id: string) {
    this.#cri = cri
    this.id = id
  }

  status(): Status {
    return JSON.parse(this.#must("inspectp", this.id))
  }

  /** As a kubelet learns them: the first is the pod's IP. */
  addresses(): string[] {
    const { ip, additionalIps } = this.status().status.network
    return [ip, ...additionalIps.map((entry) => entry.ip)].filter(Boolean)
  }

  /** The path of its network namespace, on its node; undefined if it has none of its own. */
  netns(): string | undefined {
    return this.status().info.runtimeSpec.linux.namespaces.find(({ type }) => type === "network")?.path
  }

  view(): View {
    const path = this.netns()
    if (path === undefined) throw new Error(`${this.id} has no network of its own`)
    return this.#cri.view(path)
  }

  stop(): void {
    this.#must("stopp", this.id)
  }

  remove(): void {
    this.#must("rmp", this.id)
  }

  #must(...args: string[]): string {
    const done = this.#cri.crictl(...args)
    if (done.exitCode !== 0) throw new Error(`crictl ${args.join(" ")} failed: ${done.stderr}`)
    return done.stdout
  }
}
