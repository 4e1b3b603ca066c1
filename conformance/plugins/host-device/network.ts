import type { Implementation } from "../../lab/executables.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { type Config, Network } from "../bridge/network.ts"
import { ofLan, plugIn } from "../macvlan/network.ts"

/** The MAC address of the node's `uplink`. */
export const MAC = "02:00:00:00:0d:01"

/** Gives the node the device `uplink`, down, which leads to another machine. */
export function plugInDevice(node: Node): Pod {
  const outside = plugIn(node)
  node.ip("link", "set", "uplink", "down")
  node.ip("link", "set", "uplink", "address", MAC)
  return outside
}

/** A network of `host-device`, whose device is `uplink`. */
export function hostDevice(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "host-device", device: "uplink", ...config }, implementation)
}

/** As hostDevice, with addresses of the network that `uplink` leads to. */
export function onLan(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return hostDevice(node, { ipam: ofLan(node), ...config }, implementation)
}

/** Returns if the node has the device, as one that was never in a pod. */
export function isBack(node: Node, name = "uplink"): boolean {
  const link = node.link(name)
  return link?.address === MAC && link["ifalias"] === undefined && !link.flags?.includes("UP")
}
