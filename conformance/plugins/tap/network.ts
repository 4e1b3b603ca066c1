import type { Implementation } from "../../lab/executables.ts"
import type { Node } from "../../lab/node.ts"
import { type Config, Network } from "../bridge/network.ts"

/** A network of `tap`: layer 2 only unless `config` has `ipam`. */
export function tap(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "tap", ...config }, implementation)
}
