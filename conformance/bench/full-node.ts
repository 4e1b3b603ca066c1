import { NetworkNamespace } from "../../lib/sys/netns.ts"
import type { Implementation } from "../lab/executables.ts"
import { Namespace } from "../lab/namespace.ts"
import { output } from "../lab/run.ts"
import { ChainContender, type ChainLink, LIMITS } from "./chain.ts"
import { FILLINGS, rowOfFilling } from "./filling.ts"
import { Floor } from "./floor.ts"
import { Pod } from "./pod.ts"
import { type Rows, record, rowOf } from "./rows.ts"
import { COMMANDS, type Options, repeat } from "./runs.ts"
import { type Cost, inNamespace, timed } from "./stopwatch.ts"

const SIDES = ["ours", "reference"] as const
const KERNELS_SUBNET = "10.154.0.0/16"
const SUBNETS = { ours: "10.152.0.0/16", reference: "10.153.0.0/16" }

/** The most runs of the Go plugins: a call takes up to a second. */
const MOST_OF_REFERENCE = 5

/** Seconds in which new pods come to ask for routers less often: the bridge sends each question to all ports, at first 20 of them a second. */
const CALM = 60

/** The first host ports of the pods that are measured, and of the others. */
const [MEASURED_PORTS, OTHER_PORTS] = [40_000, 20_000]

/** The keys by which ours do as the Go plugins unless told otherwise. */
const AS_GO: Readonly<Record<string, object>> = {
  bridge: { ipMasqBackend: "iptables" },
  portmap: { backend: "iptables" },
  bandwidth: { egressMode: "ifb" },
}

/**
 * A node, in a network namespace of its own, with more and more pods. Those that are measured come and go by cnitool. cni-ts makes the others
 * for either side, for the Go plugins as those make them, by iptables, whose rules are the same, and ifb: by the Go plugins a thousand pods
 * would take a quarter of an hour.
 */
class FullNode implements Disposable {
  readonly #node: Namespace
  readonly #others: Namespace[] = []
  readonly #contender: ChainContender
  readonly #bin: string
  readonly #keys: Readonly<Record<string, object>>

  constructor(side: Implementation, { dir, against }: Options, name: string) {
    this.#node = new Namespace(`node-${name}`)
    this.#contender = new ChainContender(side, dir, SUBNETS[side], name)
    this.#bin = `${dir}/ours`
    this.#keys = side === "reference" && !against ? AS_GO : {}
  }

  /** Runs a program on the node, with this as its stdin. */
  run(argv: readonly string[], stdin: string): void {
    output(this.#node.inside(argv), { stdin })
  }

  /** Adds pods until there are so many. */
  fill(count: number): void {
    for (let pod = this.#others.length; pod < count; pod++) {
      this.#others.push(new Namespace(`${this.#node.name}-${pod}`))
      const port = OTHER_PORTS + 3 * pod
      const portMappings = [port, port + 1, port + 2].map((hostPort) => ({
        hostPort,
        containerPort: 80,
        protocol: "tcp",
      }))
      const runtimeConfig = { portMappings, bandwidth: LIMITS }
      let prevResult: object | undefined
      for (const link of this.#contender.links) {
        const { stdout } = this.#call(link, "ADD", this.#variables(pod), { runtimeConfig, prevResult })
        prevResult = JSON.parse(stdout)
      }
    }
  }

  /** Measures one pod more, which comes and goes. */
  measure(rows: Rows, name: string, side: Implementation, runs: number): void {
    const measure = (target: Rows, run: number) => {
      const [pod, port] = [new Pod(), MEASURED_PORTS + 3 * (run + 1)]
      for (const command of COMMANDS) {
        const cost = inNamespace(this.#node, () => this.#contender.call(command, pod, port, port + 1, port + 2))
        record(target, `${name} ${command}`, side, cost)
      }
    }
    repeat(rows, runs, measure, 1)
  }

  /** Measures what the kernel alone takes to connect one pod more to the bridge, without what the chain adds to that. */
  measureKernel(rows: Rows, name: string, runs: number): void {
    using namespace = new NetworkNamespace(this.#node.path)
    const floor = namespace.inside(() => new Floor([KERNELS_SUBNET], this.#contender.bridge))
    const measure = (target: Rows) => {
      const pod = new Pod()
      rowOf(target, `${name} ADD, ms`).floor.push(floor.add(pod))
      rowOf(target, `${name} DEL, ms`).floor.push(floor.del(pod))
    }
    repeat(rows, runs, measure, 1)
  }

  /** Returns the cost of GC of all plugins of the chain, one after the other, when so many pods are left. */
  collect(left: number): Cost {
    const valid = Array.from({ length: left }, (_, pod) => attachmentOf(pod))
    const costs = this.#contender.links.map((link) =>
      this.#call(link, "GC", {}, { cniVersion: "1.1.0", "cni.dev/valid-attachments": valid }),
    )
    const sum = (part: "wall" | "cpu") => costs.reduce((total, cost) => total + cost[part], 0)
    return { wall: sum("wall"), cpu: sum("cpu"), peak: Math.max(...costs.map(({ peak }) => peak)) }
  }

  #call(link: ChainLink, command: string, variables: Readonly<Record<string, string>>, keys: object) {
    const config = { cniVersion: "1.0.0", name: this.#contender.name, ...link, ...this.#keys[link.type], ...keys }
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_COMMAND: command, CNI_PATH: this.#bin, ...variables }
    const argv = [`${this.#bin}/${link.type}`]
    return inNamespace(this.#node, () => timed({ argv, env, stdin: JSON.stringify(config) }))
  }

  #variables(pod: number): Record<string, string> {
    const { containerID, ifname } = attachmentOf(pod)
    return { CNI_CONTAINERID: containerID, CNI_IFNAME: ifname, CNI_NETNS: this.#others[pod]?.path ?? "" }
  }

  [Symbol.dispose](): void {
    for (const other of this.#others) other[Symbol.dispose]()
    this.#node[Symbol.dispose]()
  }
}

function attachmentOf(pod: number) {
  return { containerID: `other-${pod}`, ifname: "eth0" }
}

/** Measures a pod by the chain with three host ports, masquerading and limits, on a node with few, more and a thousand like it. */
export function measureFullNode(rows: Rows, options: Options): void {
  const { runs } = options
  output(["mount", "-t", "tmpfs", "cni-ts-bench", "/var/lib"]) // cnitool's cache
  for (const side of SIDES) {
    using node = new FullNode(side, options, `full-${side}`)
    const times = side === "ours" ? runs : Math.min(runs, MOST_OF_REFERENCE)
    for (const filling of FILLINGS) {
      node.fill(filling - 1)
      output(["sleep", String(CALM)])
      node.measure(rows, rowOfFilling(filling), side, times)
      if (side === "ours") node.measureKernel(rows, rowOfFilling(filling), times)
    }
    if (side !== "ours") continue
    const most = Math.max(...FILLINGS) - 1
    repeat(
      rows,
      3,
      (target) => record(target, `GC of ${most} pods, all plugins, that frees none`, side, node.collect(most)),
      1,
    )
    record(rows, `GC of ${most} pods, all plugins, that frees all`, side, node.collect(0))
  }
  for (const side of SIDES) {
    using node = new FullNode(side, options, `rules-${side}`)
    node.run(["iptables-restore", "--noflush"], rulesOfOthers())
    node.fill(9)
    node.measure(rows, `${rowOfFilling(10)} beside 10,000 rules`, side, Math.min(runs, side === "ours" ? runs : 3))
  }
}

/** Returns the rules of 2,000 services as kube-proxy has them, for iptables-restore, and what Docker has. */
function rulesOfOthers(): string {
  const services = Array.from({ length: 2000 }, (_, index) => index)
  const [chains, rules] = [[] as string[], [] as string[]]
  for (const service of services) {
    const [at, to] = [`10.96.${service >> 8}.${service & 255}`, `10.99.${service >> 8}.${service & 255}`]
    chains.push(`:KUBE-SVC-${service} - [0:0]`, `:KUBE-SEP-${service} - [0:0]`)
    rules.push(
      `-A KUBE-SERVICES -d ${at}/32 -p tcp -m comment --comment "ns/service-${service} cluster IP" -m tcp --dport 80 -j KUBE-SVC-${service}`,
      `-A KUBE-SVC-${service} ! -s 10.99.0.0/16 -d ${at}/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x4000/0x4000`,
      `-A KUBE-SVC-${service} -m comment --comment "ns/service-${service} -> ${to}:80" -j KUBE-SEP-${service}`,
      `-A KUBE-SEP-${service} -s ${to}/32 -j MARK --set-xmark 0x4000/0x4000`,
      `-A KUBE-SEP-${service} -p tcp -m tcp -j DNAT --to-destination ${to}:80`,
    )
  }
  return [
    "*nat",
    ":KUBE-SERVICES - [0:0]",
    ":DOCKER - [0:0]",
    ...chains,
    "-A PREROUTING -j KUBE-SERVICES",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    "-A DOCKER -i docker0 -j RETURN",
    ...rules,
    "COMMIT",
    "",
  ].join("\n")
}
