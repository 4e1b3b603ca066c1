import type { Delegate } from "../../lib/cni/delegate.ts"
import { CniError, code } from "../../lib/cni/errors.ts"
import type { Dns, IpConfig, Result, Route } from "../../lib/cni/result.ts"
import { plus } from "../../lib/ip/address.ts"
import { defaultPrefix, isDefault, networkOf, type Prefix } from "../../lib/ip/prefix.ts"
import type { Undo } from "../../lib/net/undo.ts"
import type { BridgeConfig } from "./config.ts"

/** What IPAM gave the pod, completed with the gateways that the bridge will be. */
export interface Layer3 {
  readonly ips: readonly IpConfig[]
  readonly routes: readonly Route[]
  readonly dns: Dns
  /** The addresses the bridge is to have, IPv4 first. */
  readonly gateways: readonly Prefix[]
}

/** Where the pod's interface stands in the result's list. */
export const POD_INTERFACE = 2

/**
 * Takes addresses from IPAM. The pod's interface was made just now: leases that IPAM still holds for this attachment are left from an
 * ADD that was killed, so they are released and IPAM asked once more.
 */
export function takeAddresses(ipam: Delegate, config: BridgeConfig, undo: Undo): Layer3 {
  const result = addOrReplace(ipam)
  undo.add(ipam.del)
  if (result.ips.length === 0) {
    throw new CniError(code.delegate, "IPAM plugin returned missing IP config", `"ipam.type" is ${config.ipamType}`)
  }
  return planGateways(result, config)
}

function addOrReplace(ipam: Delegate): Result {
  try {
    return ipam.add()
  } catch (error) {
    if (!(error instanceof CniError && error.code === code.conflict)) throw error
    ipam.del()
    return ipam.add()
  }
}

/** Which addresses the bridge gets and which default routes the pod needs. */
export function planGateways({ ips, routes, dns }: Result, config: BridgeConfig): Layer3 {
  const planned = ips.map((ip) => ({ ...ip, gateway: ip.gateway ?? firstHost(ip, config), interface: POD_INTERFACE }))
  return { ips: planned, routes: withDefaults(routes, planned, config), dns, gateways: gatewaysOf(planned, config) }
}

function firstHost({ address }: IpConfig, { isGateway }: BridgeConfig): IpConfig["gateway"] {
  return isGateway ? plus(networkOf(address).address, 1n) : undefined
}

/** A default route of IPAM's counts with and without a gateway: without, it will go by ours. */
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
