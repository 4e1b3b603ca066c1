import type { Call, Outcome, Result } from "../../lab/call.ts"
import type { Implementation } from "../../lab/executables.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"

export type Config = Readonly<Record<string, unknown>>

export const NETWORK = "podnet"
export const NODE_ADDRESS = "198.51.100.1"
export const POD_ADDRESS = "198.51.100.2"

/** Of the ends on nodes: the kernel takes a second to say that a link is up if its peer has the same number in the pod. */
let lastIndex = 1000

/** A pod with a veth pair that stands for what an earlier plugin of the chain made, and the calls that limit it. */
export class LimitedPod {
  readonly node: Node
  readonly pod: Pod
  readonly veth: string
  readonly ifname: string
  readonly prevResult: Result

  constructor(node: Node, { pod = node.pod(), veth = "veth0", ifname = "eth0", mtu = 1400 } = {}) {
    this.node = node
    this.pod = pod
    this.veth = veth
    this.ifname = ifname
    const end = ["index", String(++lastIndex), "address", "02:00:00:00:00:11", "mtu", String(mtu)]
    const peer = ["peer", "name", ifname, "mtu", String(mtu), "netns", pod.name]
    output(node.inside(["ip", "link", "add", veth, ...end, "type", "veth", ...peer]))
    output(node.inside(["ip", "address", "add", `${NODE_ADDRESS}/24`, "dev", veth]))
    output(node.inside(["ip", "address", "add", "fd00::1/64", "dev", veth, "nodad"]))
    output(node.inside(["ip", "link", "set", veth, "up"]))
    output(pod.inside(["ip", "address", "add", `${POD_ADDRESS}/24`, "dev", ifname]))
    output(pod.inside(["ip", "address", "add", "fd00::2/64", "dev", ifname, "nodad"]))
    output(pod.inside(["ip", "link", "set", ifname, "up"]))
    this.#waitForCarrier()
    this.prevResult = {
      cniVersion: "1.0.0",
      interfaces: [
        { name: veth, mac: "02:00:00:00:00:11" },
        { name: ifname, mac: String(pod.link(ifname)?.address), sandbox: pod.path },
      ],
      ips: [{ address: `${POD_ADDRESS}/24`, gateway: NODE_ADDRESS, interface: 1 }],
      routes: [{ dst: "0.0.0.0/0" }],
      dns: {},
    }
  }

  /** Both ends are up in an instant, and then the kernel adds IPv6 routes, which nobody who compares should miss. */
  #waitForCarrier(): void {
    const isUp = () => [this.node.link(this.veth), this.pod.link(this.ifname)].every((link) => link?.operstate === "UP")
    for (let looks = 0; !isUp(); looks++) if (looks > 500) throw new Error(`${this.veth} has no carrier`)
  }

  call(command: string, config: Config, more: Partial<Call> = {}): Outcome {
    return this.node.call("bandwidth", this.asCall(command, config, more))
  }

  asCall(command: string, config: Config, more: Partial<Call> = {}): Call {
    const base = { cniVersion: "1.0.0", name: NETWORK, type: "bandwidth", prevResult: this.prevResult }
    return { command, netns: this.pod, ifname: this.ifname, config: { ...base, ...config }, ...more }
  }

  /** ADD, which must succeed; later calls are told its result. */
  add(config: Config, implementation: Implementation = "ours"): Result {
    const { result, stdout, stderr } = this.call("ADD", config, { implementation })
    if (!result) throw new Error(`ADD failed: ${stdout}${stderr}`)
    return result
  }

  check(config: Config, prevResult: Result, implementation: Implementation = "ours"): Outcome {
    return this.call("CHECK", { ...config, prevResult }, { implementation })
  }

  del(config: Config, implementation: Implementation = "ours"): Outcome {
    return this.call("DEL", config, { implementation })
  }
}

export interface Qdisc {
  readonly kind: string
  readonly handle: string
  readonly options: { readonly rate?: number; readonly burst?: number; readonly lat?: number; readonly limit?: number }
}

/** `tc -j qdisc` of a link; what the kernel puts there by itself left out. */
export function qdiscs(node: Node, link: string): Qdisc[] {
  const all: Qdisc[] = JSON.parse(output(node.inside(["tc", "-j", "qdisc", "show", "dev", link])))
  return all.filter(({ kind }) => kind !== "noqueue")
}

/** `tc filter` of what a link receives: what is left of the lines without counters and numbers that the kernel chooses. */
export function filters(node: Node, link: string): string {
  return output(node.inside(["tc", "filter", "show", "dev", link, "ingress"]))
    .replace(/\s+index \d+ ref \d+ bind \d+/g, "")
    .replace(/^filter.* (chain \d+|fh 800:|fh 800: ht divisor 1)\s*$/gm, "")
    .replace(/\s+/g, " ")
    .trim()
}

/** The names of the node's ifbs. */
export function ifbs(node: Node): string[] {
  return node
    .ip("-d", "link", "show")
    .filter(({ linkinfo }) => linkinfo?.info_kind === "ifb")
    .map(({ ifname }) => String(ifname))
}
