import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import type { Node } from "../../lab/node.ts"
import { type Config, hostLocal, Network, V4 } from "../bridge/network.ts"

/** A network of `ptp` with one IPv4 range of host-local unless `config` says otherwise. */
export function ptp(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "ptp", ipam: hostLocal(node, [V4]), ...config }, implementation)
}

/** The node's veths. */
export function veths(node: Node): Described[] {
  return node.ip("link", "show", "type", "veth")
}

/** The chain of the rules of masqueraded addresses, as nft says it. */
export const MASQUERADE = ["inet", "cni_plugins_masquerade", "masq_checks"]

/** One line for each masqueraded address of a pod. */
export function masqueradeRules(node: Node): string[] {
  const { stdout } = node.run("nft", "list", "chain", ...MASQUERADE)
  return stdout.split("\n").filter((line) => line.includes("masquerade comment"))
}
