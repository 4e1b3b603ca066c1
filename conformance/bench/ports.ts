import { output } from "../lab/run.ts"
import type { Command } from "./contender.ts"
import { Pod } from "./pod.ts"
import { type Rows, record, type Side } from "./rows.ts"
import { COMMANDS, type Options, repeat } from "./runs.ts"
import { type Cost, timed } from "./stopwatch.ts"

const SIDES = ["ours", "reference"] as const

/** One implementation's `portmap` or `firewall`, for pods that are not there: it makes rules for addresses that it is told. */
export class PortContender {
  readonly #program: string
  readonly #config: object
  #pods = 0

  /** `backend`: undefined leaves the choice to the implementation. */
  constructor(bin: string, backend?: string, type: "portmap" | "firewall" = "portmap") {
    this.#program = `${bin}/${type}`
    this.#config = { cniVersion: "1.0.0", name: "ports", type, ...(backend && { backend }) }
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
    return timed({ argv: [this.#program], env, stdin: JSON.stringify(config) })
  }

  /** The next pod's number. */
  number(): number {
    return ++this.#pods
  }
}

/**
 * The ports of one pod, first against the Go plugin as it is by default, then against its nftables backend. In its own ruleset each: in a
 * common one the Go plugin would have ours written anew every time.
 */
export function measurePorts(rows: Rows, { dir, runs }: Options): void {
  const rivals = [
    ["portmap", undefined],
    ["portmap beside Go by nftables", "nftables"],
  ] as const
  for (const [name, backend] of rivals) {
    for (const side of SIDES) {
      output(["nft", "flush", "ruleset"])
      const contender = new PortContender(`${dir}/${side}`, side === "reference" ? backend : undefined)
      measureSide(rows, name, side, contender, runs)
    }
  }
  output(["nft", "flush", "ruleset"])
}

/** The rules of one pod by the iptables backend, on a node that has those of its first pod, and as the 500th. */
export function measureIptables(rows: Rows, type: "firewall" | "portmap", { dir, runs }: Options): void {
  const title = type === "portmap" ? "portmap by iptables" : type
  for (const [name, others] of [
    [title, 1],
    [`${title} as the 500th pod`, 499],
  ] as const) {
    for (const side of SIDES) {
      const contender = new PortContender(`${dir}/${side}`, "iptables", type)
      const pod = new Pod()
      for (let count = 0; count < others; count++) contender.call("ADD", pod, contender.number())
      measureSide(rows, name, side, contender, others > 1 && side === "reference" ? Math.min(runs, 5) : runs)
      output(["nft", "flush", "ruleset"])
    }
  }
}

/** As measurePorts, among the ports of 499 other pods. */
export function measureCrowd(rows: Rows, { dir, runs }: Options): void {
  for (const side of SIDES) {
    const contender = new PortContender(`${dir}/${side}`)
    const pod = new Pod()
    for (let others = 0; others < 499; others++) contender.call("ADD", pod, contender.number())
    measureSide(rows, "portmap as the 500th pod", side, contender, side === "ours" ? runs : Math.min(runs, 5))
    output(["nft", "flush", "ruleset"])
  }
}

function measureSide(rows: Rows, name: string, side: Side, contender: PortContender, runs: number): void {
  repeat(rows, runs, (target) => {
    const [pod, number] = [new Pod(), contender.number()]
    for (const command of COMMANDS) record(target, `${name} ${command}`, side, contender.call(command, pod, number))
  })
}
