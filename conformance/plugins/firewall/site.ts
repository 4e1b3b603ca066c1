import { join } from "node:path"
import type { View } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { Network } from "../bridge/network.ts"
import { outside } from "../bridge/outside.ts"
import { type Config, Firewall, iptables } from "./network.ts"

/** A node with pods on bridges of their own and a host beyond that knows the way back. */
export class Site {
  readonly node: Node
  readonly host: Pod

  constructor(node: Node) {
    this.node = node
    this.host = outside(node)
    this.host.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.1")
    this.host.ip("-6", "route", "add", "fd00:10::/32", "via", "fd00:beef::1")
    for (const family of ["ip", "ip6"]) node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, "1")
  }

  /** A site whose FORWARD chains drop, as Docker's. */
  static dropping(node: Node): Site {
    iptables(node, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
    return new Site(node)
  }

  /** Adds a pod to the bridge of that number, and if `config` is given calls `firewall` for it. */
  pod(bridge: number, config?: Config, env?: Readonly<Record<string, string>>) {
    const { node } = this
    const pod = node.pod()
    const name = `net${bridge}`
    const ranges = [`10.${bridge}.0.0/24`, `fd00:10:${bridge}::/64`].map((subnet) => [{ subnet }])
    const ipam = { type: "host-local", dataDir: join(node.dir, "ipam"), ranges }
    const network = new Network(node, { name, bridge: `cni${bridge}`, isDefaultGateway: true, ipam })
    const prevResult = network.connect(pod)
    const firewall = new Firewall(node, { name, ...config, prevResult }, "ours", env)
    const answer = config && firewall.ask("ADD", pod)
    if (answer && answer.exitCode !== 0) throw new Error(answer.stdout)
    const addresses = (prevResult.ips ?? []).map(({ address }) => address.split("/")[0] ?? "")
    return { pod, firewall, addresses, stderr: answer?.stderr }
  }
}

export type Reached = ReturnType<Site["pod"]>

export const reaches = (from: View, { addresses }: Reached) => from.reaches(addresses)
/** Of both families. */
export const [YES, NO] = [
  [true, true],
  [false, false],
]
