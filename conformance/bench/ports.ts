import { type Command, type Cost, timed } from "./contender.ts"
import { Pod } from "./pod.ts"

/** One implementation's `portmap`, for pods that are not there: it maps ports to addresses that it is told. */
export class PortContender {
  readonly #program: string
  readonly #config: object
  #pods = 0

  /** `backend`: undefined leaves the choice to the implementation. */
  constructor(bin: string, backend?: string) {
    this.#program = `${bin}/portmap`
    this.#config = { cniVersion: "1.0.0", name: "ports", type: "portmap", ...(backend && { backend }) }
  }

  /** A call for the pod of that number. */
  call(command: Command, { containerId, namespace }: Pod, number: number): Cost {
    const address = `10.77.${number >> 7}.${(number & 127) + 2}/16`
    const interfaces = [{ name: "eth0", sandbox: namespace.path }]
    const ports = [0, 1, 2].map((offset) => ({
      hostPort: 20_000 + 3 * number + offset,
      containerPort: 80,
      protocol: "tcp",
    }))
    const config = {
      ...this.#config,
      runtimeConfig: { portMappings: ports },
      prevResult: { cniVersion: "1.0.0", interfaces, ips: [{ address, interface: 0 }] },
    }
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: `${containerId}-${number}`,
      CNI_NETNS: namespace.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: this.#program,
    }
    return timed([this.#program], env, JSON.stringify(config))
  }

  /** The next pod's number. */
  number(): number {
    return ++this.#pods
  }
}

/** Maps ports of pods until `count` have some. */
export function fill(contender: PortContender, count: number): void {
  const pod = new Pod()
  for (let number = contender.number(); number < count; number = contender.number()) contender.call("ADD", pod, number)
}
