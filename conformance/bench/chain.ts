import { mkdirSync, writeFileSync } from "node:fs"
import { CNITOOL } from "../lab/executables.ts"
import { output } from "../lab/run.ts"
import { Pod } from "./pod.ts"
import { type Rows, record } from "./rows.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"
import { type Cost, timed } from "./stopwatch.ts"

/** A plugin's configuration. */
export interface ChainLink extends Readonly<Record<string, unknown>> {
  readonly type: string
}

/** Limits of a pod, as the runtime hands them over. */
export const LIMITS = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 }

/** One implementation's whole chain as a kubelet's pod has it: bridge with masquerading, portmap and bandwidth, driven by cnitool. */
export class ChainContender {
  readonly name: string
  readonly links: readonly ChainLink[]
  readonly #env: Readonly<Record<string, string>>

  get bridge(): string {
    return this.name.slice(0, 15)
  }

  /** `dir` holds the executables and the leases; the subnet must be no other network's. */
  constructor(implementation: string, dir: string, subnet: string, name = `chain-${implementation}`) {
    this.name = name
    const networks = `${dir}/${name}.d`
    this.links = [
      {
        type: "bridge",
        bridge: this.bridge,
        isDefaultGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", dataDir: `${dir}/leases`, ranges: [[{ subnet }]] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ]
    mkdirSync(networks)
    writeFileSync(`${networks}/net.conflist`, JSON.stringify({ cniVersion: "1.0.0", name, plugins: this.links }))
    this.#env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      NETCONFPATH: networks,
      CNI_PATH: `${dir}/${implementation}`,
    }
  }

  call(command: "ADD" | "CHECK" | "DEL", { namespace }: Pod, ...hostPorts: number[]): Cost {
    const portMappings = hostPorts.map((hostPort) => ({ hostPort, containerPort: 80, protocol: "tcp" }))
    const capabilities = { portMappings, bandwidth: LIMITS }
    const env = { ...this.#env, CAP_ARGS: JSON.stringify(capabilities) }
    return timed({ argv: [CNITOOL, command.toLowerCase(), this.name, namespace.path], env, stdin: "" })
  }
}

/** The whole chain through cnitool, whose own time is in it. */
export function measureChain(rows: Rows, { dir, runs }: Options): void {
  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/var/lib"]) // cnitool's cache
  const both = [
    ["reference", new ChainContender("reference", dir, "10.150.0.0/16")],
    ["ours", new ChainContender("ours", dir, "10.151.0.0/16")],
  ] as const
  let port = 30_000
  repeat(rows, runs, (target, run) => {
    const pods = { reference: new Pod(), ours: new Pod() }
    const ports = { reference: port++, ours: port++ }
    for (const command of COMMANDS) {
      for (const [side, contender] of turn(both, run)) {
        record(target, `chain ${command}`, side, contender.call(command, pods[side], ports[side]))
      }
    }
  })
}
