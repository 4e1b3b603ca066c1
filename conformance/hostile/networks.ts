import { join } from "node:path"
import type { NetworkList } from "../lab/cnitool.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Node } from "../lab/node.ts"
import { hostLocalAt } from "../plugins/bridge/network.ts"

/** A network list, and where the runtime looks for its plugins. */
export interface HostileNetwork {
  readonly list: NetworkList
  readonly path?: string
  readonly env?: Readonly<Record<string, string>>
  /** Of somebody who is alone on the node, and need not be let in. */
  readonly alone?: boolean
}

const PORTMAP = { type: "portmap", capabilities: { portMappings: true } }
const BANDWIDTH = { type: "bandwidth", capabilities: { bandwidth: true } }

/** The networks of witnesses, on which attackers are too. */
export const SHARED = ["chain", "ptp", "guarded"] as const
export type Shared = (typeof SHARED)[number]

/** All networks of the node by name. */
export type Networks = Readonly<Record<Shared | "users" | "foreign" | "gateway" | "routed", HostileNetwork>>

/** Returns the directory of the IPAM plugin that answers anything. */
export const foreignDirectory = (node: Node) => join(node.dir, "foreign")

export function networksOf(node: Node, dualStack: boolean): Networks {
  const ipam = (part: number) => {
    const subnets = [`10.244.${part}.0/24`, ...(dualStack ? [`fd00:10:244:${part}::/64`] : [])]
    return hostLocalAt(join(node.dir, "ipam"), subnets)
  }
  const defaults = ["0.0.0.0/0", ...(dualStack ? ["::/0"] : [])].map((dst) => ({ dst }))
  const gateway = { type: "bridge", isDefaultGateway: true, ipMasq: true }
  const guest = { path: `${foreignDirectory(node)}:${binDirectory()}`, env: { CNI_TS_WAIT: "1" } }
  const users = { type: "bridge", bridge: "users0", macspoofchk: true, capabilities: { ips: true, mac: true } }
  const list = (name: string, ...plugins: NetworkList["plugins"]) => ({ cniVersion: "1.1.0", name, plugins })
  return {
    chain: {
      list: list("chain", { ...gateway, bridge: "cni0", hairpinMode: true, ipam: ipam(1) }, PORTMAP, BANDWIDTH),
    },
    ptp: { list: list("ptp", { type: "ptp", ipMasq: true, ipam: { ...ipam(2), routes: defaults } }, PORTMAP) },
    guarded: {
      list: list("guarded", { ...gateway, bridge: "cni1", macspoofchk: true, ipam: ipam(3) }, PORTMAP, BANDWIDTH),
    },
    users: { list: list("users", { ...users, ipam: { type: "static" } }, PORTMAP, BANDWIDTH) },
    foreign: {
      list: list("foreign", { type: "bridge", bridge: "foreign0", ipMasq: true, ipam: { type: "anything" } }, PORTMAP),
      ...guest,
    },
    gateway: {
      list: list("gateway", { ...gateway, bridge: "foreign1", ipam: { type: "anything" } }, PORTMAP),
      ...guest,
    },
    routed: { list: list("routed", { type: "ptp", ipMasq: true, ipam: { type: "anything" } }, PORTMAP), ...guest },
  }
}
