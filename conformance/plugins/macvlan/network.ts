import type { Implementation } from "../../lab/executables.ts"
import type { Namespace } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { type Config, Network } from "../bridge/network.ts"
import type { PodLink } from "../pod-link.ts"

/** The network that the node's uplink leads to, and who answers there. */
export const LAN = "10.20.0.0/24"
export const OUTSIDE = "10.20.0.254"
export const OUTSIDE6 = "fd20::fe"

/** Gives `where` a link `uplink` to another machine, which has the addresses OUTSIDE and OUTSIDE6. */
export function plugIn(node: Node, where: Namespace = node): Pod {
  const outside = node.pod()
  // Not the number of its peer in the other namespace: the kernel would take a second to say that such a link is up.
  where.ip("link", "add", "uplink", "index", "1000", "type", "veth", "peer", "name", "far", "netns", outside.name)
  outside.ip("link", "set", "far", "up")
  outside.ip("addr", "add", `${OUTSIDE}/24`, "dev", "far")
  outside.ip("addr", "add", `${OUTSIDE6}/64`, "dev", "far", "nodad")
  where.ip("link", "set", "uplink", "up")
  return outside
}

/** host-local in the part of the LAN that is this node's, as in Multus' example. */
export function ofLan(node: Node, more: Config = {}): Config {
  const range = { subnet: LAN, rangeStart: "10.20.0.100", rangeEnd: "10.20.0.110", gateway: OUTSIDE }
  return { type: "host-local", dataDir: `${node.dir}/ipam`, ranges: [[range]], ...more }
}

/** As ofLan, in both families. */
export function dualOfLan(node: Node): Config {
  const { ranges } = ofLan(node) as { ranges: object[] }
  return ofLan(node, { ranges: [...ranges, [{ subnet: "fd20::/64", rangeStart: "fd20::100", gateway: OUTSIDE6 }]] })
}

/** A network of `macvlan` on `uplink`. */
export function macvlan(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "macvlan", master: "uplink", ...config }, implementation)
}

/** For the tests that macvlan shares with others. */
export const MACVLAN: PodLink = {
  kind: "macvlan",
  network: macvlan,
  prepare: plugIn,
  ipam: ofLan,
  nonsense: { master: "eth9", mode: "x", mtu: -1 },
}
