import type { Implementation } from "../../lab/executables.ts"
import type { Node } from "../../lab/node.ts"
import { type Config, Network } from "../bridge/network.ts"
import { ofLan, plugIn } from "../macvlan/network.ts"
import type { PodLink } from "../pod-link.ts"

/** A network of `ipvlan` on `uplink`. */
export function ipvlan(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "ipvlan", master: "uplink", ...config }, implementation)
}

/** Addresses of `static`: no lease is involved. */
export function fixed(...addresses: readonly string[]): Config {
  return { type: "static", addresses: addresses.map((address) => ({ address })) }
}

/** The result of a plugin before, which has one interface on the node and two addresses. */
export const PREVIOUS = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "uplink", mac: "02:00:00:00:00:01" }],
  ips: [
    { interface: 0, address: "10.20.0.40/24", gateway: "10.20.0.254" },
    { interface: 0, address: "fd20::40/64" },
  ],
  routes: [{ dst: "0.0.0.0/0" }],
  dns: { nameservers: ["10.0.0.11"] },
}

/** For the tests that ipvlan shares with others. */
export const IPVLAN: PodLink = {
  kind: "ipvlan",
  network: ipvlan,
  prepare: plugIn,
  ipam: ofLan,
  nonsense: { master: "eth9", mode: "x", mtu: -1 },
}
