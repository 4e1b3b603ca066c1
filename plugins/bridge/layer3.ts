import type { Dns, IpConfig, Result, Route } from "../../lib/cni/result.ts"
import { bits, plus, sameAddress } from "../../lib/ip/address.ts"
import { defaultPrefix, isDefault, networkOf, type Prefix } from "../../lib/ip/prefix.ts"
import type { BridgeConfig } from "./config.ts"

/** The pod's addresses and routes from IPAM, completed with the gateways that the bridge will be. */
export interface Layer3 {
  readonly ips: readonly IpConfig[]
  readonly routes: readonly Route[]
  readonly dns: Dns
  /** The addresses the bridge is to have, IPv4 first. */
  readonly gateways: readonly Prefix[]
}

/** The index of the pod's interface in the result. */
export const POD_INTERFACE = 2

/** Plans the bridge's addresses and the pod's default routes. */
export function planGateways({ ips, routes, dns }: Result, config: BridgeConfig): Layer3 {
  const planned = ips.map((ip) => ({ ...ip, gateway: ip.gateway ?? firstHost(ip, config), interface: POD_INTERFACE }))
  return { ips: planned, routes: withDefaults(routes, planned, config), dns, gateways: gatewaysOf(planned, config) }
}

/** Returns the gateway if IPAM names none: the network's first address; of two (/31, /127) the one that is not the pod's. */
function firstHost({ address: pod }: IpConfig, { isGateway }: BridgeConfig): IpConfig["gateway"] {
  if (!isGateway) return undefined
  const network = networkOf(pod).address
  const first = plus(network, 1n)
  const isPair = pod.length === bits(pod.address.family) - 1
  return isPair && sameAddress(first, pod.address) ? network : first
}

/** Adds default routes by the gateways. One from IPAM is enough, even without a gateway: it will use ours. */
function withDefaults(routes: readonly Route[], ips: readonly IpConfig[], { isDefaultGateway }: BridgeConfig): Route[] {
  const all = [...routes]
  if (!isDefaultGateway) return all
  for (const { gateway } of ips) {
    const has = gateway && all.some(({ dst }) => isDefault(dst) && dst.address.family === gateway.family)
    if (gateway && !has) all.push({ dst: defaultPrefix(gateway.family), gw: gateway })
  }
  return all
}

function gatewaysOf(ips: readonly IpConfig[], { isGateway }: BridgeConfig): Prefix[] {
  if (!isGateway) return []
  const prefixes = ips.flatMap(({ address, gateway }) =>
    gateway ? [{ address: gateway, length: address.length }] : [],
  )
  return prefixes.sort((a, b) => a.address.family - b.address.family)
}
