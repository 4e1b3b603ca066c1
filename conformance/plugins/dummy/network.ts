import type { Implementation } from "../../lab/executables.ts"
import type { Node } from "../../lab/node.ts"
import { type Config, hostLocal, Network } from "../bridge/network.ts"

/** A network of `dummy`, with host-local unless `config` says otherwise. */
export function dummy(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "dummy", ipam: hostLocal(node), ...config }, implementation)
}
