import type { Implementation } from "../lab/executables.ts"
import type { Pod } from "./pod.ts"

export type Stack = "IPv4" | "dual-stack"
export type Command = "ADD" | "CHECK" | "DEL"

/** Whose calls are measured. */
export type Measured = "bridge" | "ptp" | "macvlan"

/** What a call took, in milliseconds: from the process's start to its end, and of the processors. */
export interface Cost {
  readonly wall: number
  readonly cpu: number
}

/** One implementation with one network: a bridge and leases of its own, or pods on links to the node, or on its `uplink`. */
export class Contender {
  readonly #name: string
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
    this.#name = `${implementation}-${subnets.length === 1 ? "4" : "6"}`
    this.#bin = `${dir}/${implementation}`
    this.#program = `${this.#bin}/${plugin}`
    const ranges = subnets.map((subnet) => [{ subnet }])
    this.#network = {
      cniVersion: "1.0.0",
      name: this.#name,
      type: plugin,
      ...keysOf(plugin, this.#name),
      mtu: 1450,
      ipam: { type: "host-local", dataDir: `${dir}/leases`, ranges, routes: [{ dst: "10.0.0.0/8" }] },
      ...keys,
    }
  }

  version(): Cost {
    return timed([this.#program], { CNI_COMMAND: "VERSION" }, "{}")
  }

  /** ADD also notes its result, which the pod's later calls hand over. */
  call(command: Command, pod: Pod): Cost {
    const { stdout, ...cost } = timed([this.#program], this.#environment(command, pod), this.#stdin(pod))
    if (command === "ADD") pod.result = JSON.parse(stdout)
    return cost
  }

  /** The milliseconds until calls for all the pods, begun at once, have ended. */
  async callAll(command: Command, pods: readonly Pod[]): Promise<number> {
    const began = performance.now()
    const children = pods.map((pod) =>
      Bun.spawn([this.#program], {
        env: this.#environment(command, pod),
        stdin: Buffer.from(this.#stdin(pod)),
        stdout: "ignore",
        stderr: "ignore",
      }),
    )
    const codes = await Promise.all(children.map((child) => child.exited))
    const time = performance.now() - began
    if (codes.some((code) => code !== 0))
      throw new Error(`${this.#name}: one of ${pods.length} parallel ${command} failed`)
    return time
  }

  /** The resident memory, in bytes, of the largest process of an ADD. */
  memory(pod: Pod): number {
    const peak = peakMemory([this.#program], this.#environment("ADD", pod), this.#stdin(pod))
    this.call("DEL", pod)
    return peak
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

function keysOf(plugin: Measured, name: string): object {
  if (plugin === "bridge") return { bridge: name, isDefaultGateway: true }
  return plugin === "macvlan" ? { master: UPLINK } : {}
}

/** The link that macvlans are on. */
export const UPLINK = "uplink"

/** Spawns as a runtime does, with pipes, and waits; throws if the program fails. */
export function timed(argv: string[], env: Record<string, string>, stdin: string): Cost & { readonly stdout: string } {
  const input = Buffer.from(stdin)
  const began = performance.now()
  const done = Bun.spawnSync(argv, { env, stdin: input, stdout: "pipe", stderr: "ignore" })
  const wall = performance.now() - began
  if (done.exitCode !== 0) throw new Error(`${argv[0]} ${env["CNI_COMMAND"]} failed: ${done.stdout}`)
  return { wall, cpu: Number(done.resourceUsage.cpuTime.total) / 1000, stdout: done.stdout.toString() }
}

/**
 * In bytes. A process begins with the peak of the one that spawned it, and Bun's is larger than what is to be measured: Perl, which
 * every Debian has, is small and stands between.
 */
function peakMemory(argv: string[], env: Record<string, string>, stdin: string): number {
  const SYS_getrusage = process.arch === "arm64" ? 165 : 98
  const perl =
    `$usage = "\\0" x 144; open STDOUT, ">/dev/null"; system(@ARGV) and exit 1;` +
    `syscall(${SYS_getrusage}, -1, $usage); print STDERR ((unpack("q5", $usage))[4])`
  const { exitCode, stderr } = Bun.spawnSync(["perl", "-e", perl, ...argv], {
    env,
    stdin: Buffer.from(stdin),
    stderr: "pipe",
  })
  if (exitCode !== 0) throw new Error(`${argv[0]} ADD failed under perl: ${stderr}`)
  return Number(stderr.toString()) * 1024
}
