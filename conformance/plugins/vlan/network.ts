import type { Implementation } from "../../lab/executables.ts"
import type { Namespace } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { type Config, Network } from "../bridge/network.ts"
import { OUTSIDE, OUTSIDE6, ofLan, plugIn } from "../macvlan/network.ts"
import type { PodLink } from "../pod-link.ts"

/** Gives `where` a link `uplink` to another machine, which has OUTSIDE and OUTSIDE6 in VLAN 5 alone. */
export function trunk(node: Node, where: Namespace = node): Pod {
  const outside = plugIn(node, where)
  outside.ip("addr", "flush", "dev", "far")
  outside.ip("link", "add", "link", "far", "name", "far.5", "type", "vlan", "id", "5")
  outside.ip("link", "set", "far.5", "up")
  outside.ip("addr", "add", `${OUTSIDE}/24`, "dev", "far.5")
  outside.ip("addr", "add", `${OUTSIDE6}/64`, "dev", "far.5", "nodad")
  return outside
}

/** A network of `vlan` in VLAN 5 of `uplink`. */
export function vlan(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "vlan", master: "uplink", vlanId: 5, ...config }, implementation)
}

/** For the tests that vlan shares with others. */
export const VLAN: PodLink = {
  kind: "vlan",
  network: vlan,
  prepare: plugIn,
  ipam: ofLan,
  second: { vlanId: 6 },
  nonsense: { master: "", vlanId: -1, mtu: -1 },
}
