import type { Implementation } from "../../lab/executables.ts"
import type { Node } from "../../lab/node.ts"
import { type Config, hostLocal, Network, V4 } from "../bridge/network.ts"
import type { PodLink } from "../pod-link.ts"

/** A network of `tap`: layer 2 only unless `config` has `ipam`. */
export function tap(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "tap", ...config }, implementation)
}

/** For the tests that tap shares with others. */
export const TAP: PodLink = {
  kind: "tun",
  network: tap,
  ipam: (node, more) => hostLocal(node, [V4], more),
  nonsense: { owner: "x", mtu: -1, bridge: "none", selinuxContext: "a:b:c:s0" },
}
