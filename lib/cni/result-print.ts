import { type Family, families, formatAddress } from "../ip/address.ts"
import { formatPrefix } from "../ip/prefix.ts"
import { host } from "../sys/host.ts"
import { CniError, code } from "./errors.ts"
import type { Dns, Interface, IpConfig, Result, Route } from "./result.ts"
import { atLeast, type Version } from "./version.ts"

/**
 * Prints the result as the Go plugins do in `version`, byte for byte.
 * Up to 0.4.0 keys come in the order the specification declares them and `dns` always appears; from 1.0.0 on keys are sorted
 * and an empty `dns` is left out. Throws if `version` has no room for the result: 0.1.0 and 0.2.0 need an address.
 */
export function printResult(result: Result, version: Version): string {
  if (atLeast(version, "1.0.0")) return host.printJson(sorted(result, version))
  return host.printJson(atLeast(version, "0.3.0") ? declared(result, version) : early(result, version))
}

type Printed = Record<string, unknown>

/** Keys are in alphabetical order, here and in all that it calls. */
function sorted({ interfaces, ips, routes, dns }: Result, version: Version): Printed {
  return {
    cniVersion: version,
    dns: sortedDns(dns),
    interfaces: orNothing(interfaces.map(sortedInterface)),
    ips: orNothing(ips.map(sortedIp)),
    routes: orNothing(routes.map(sortedRoute)),
  }
}

function sortedInterface({ mac, mtu, name, pciID, sandbox, socketPath }: Interface): Printed {
  return {
    mac: mac || undefined,
    mtu: mtu || undefined,
    name,
    pciID: pciID || undefined,
    sandbox: sandbox || undefined,
    socketPath: socketPath || undefined,
  }
}

function sortedIp(ip: IpConfig): Printed {
  const { address, gateway } = ip
  return { address: formatPrefix(address), gateway: gateway && formatAddress(gateway), interface: ip.interface }
}

function sortedRoute({ advmss, dst, gw, mtu, priority, scope, table }: Route): Printed {
  return {
    advmss: advmss || undefined,
    dst: formatPrefix(dst),
    gw: gw && formatAddress(gw),
    mtu: mtu || undefined,
    priority: priority || undefined,
    scope,
    table,
  }
}

function sortedDns({ domain, nameservers, options, search }: Dns): Printed | undefined {
  if (domain === "" && nameservers.length + options.length + search.length === 0) return undefined
  return {
    domain: domain || undefined,
    nameservers: orNothing(nameservers),
    options: orNothing(options),
    search: orNothing(search),
  }
}

function declared({ interfaces, ips, routes, dns }: Result, version: Version): Printed {
  const link = ({ name, mac, sandbox }: Interface) => ({ name, mac: mac || undefined, sandbox: sandbox || undefined })
  return {
    cniVersion: version,
    interfaces: orNothing(interfaces.map(link)),
    ips: orNothing(ips.map(declaredIp)),
    routes: orNothing(routes.map(declaredRoute)),
    dns: declaredDns(dns),
  }
}

function declaredIp({ address, gateway, interface: of }: IpConfig): Printed {
  return {
    version: String(address.address.family),
    interface: of,
    address: formatPrefix(address),
    gateway: gateway && formatAddress(gateway),
  }
}

/** Prints the fields of 1.1.0 in every version that has room for routes, as the Go plugins do. */
function declaredRoute(route: Route): Printed {
  return {
    dst: formatPrefix(route.dst),
    gw: route.gw && formatAddress(route.gw),
    mtu: route.mtu || undefined,
    advmss: route.advmss || undefined,
    priority: route.priority || undefined,
    table: route.table,
    scope: route.scope,
  }
}

function declaredDns({ nameservers, domain, search, options }: Dns): Printed {
  return {
    nameservers: orNothing(nameservers),
    domain: domain || undefined,
    search: orNothing(search),
    options: orNothing(options),
  }
}

/** Prints a result of 0.1.0 or 0.2.0: the first address of each family; routes of a family without address are dropped. */
function early(result: Result, version: Version): Printed {
  const [ip4, ip6] = families.map((family) => {
    const ip = result.ips.find(({ address }) => address.address.family === family)
    if (!ip) return undefined
    const routes = result.routes.filter(({ dst }) => dst.address.family === family)
    return {
      ip: formatPrefix(ip.address),
      gateway: ip.gateway && formatAddress(ip.gateway),
      routes: orNothing(routes.map(({ dst, gw }) => ({ dst: formatPrefix(dst), gw: gw && formatAddress(gw) }))),
    }
  })
  if (!ip4 && !ip6) throw noRoomFor(version)
  return { cniVersion: version, ip4, ip6, dns: declaredDns(result.dns) }
}

/** Refuses, before anything is done, a result without addresses in a version that cannot express it. */
export function assertExpressible(version: Version, hasAddresses: boolean): void {
  if (!hasAddresses && !atLeast(version, "0.3.0")) throw noRoomFor(version)
}

/**
 * Refuses more than one address of a family in a version that has room for one. `found` are the families of what would give one
 * each, and `what` names it.
 */
export function assertOnePerFamily(version: Version, found: readonly Family[], what: string): void {
  const count = (family: Family) => found.filter((other) => other === family).length
  if (atLeast(version, "0.3.0") || families.every((family) => count(family) <= 1)) return
  throw new CniError(
    code.invalidConfig,
    `CNI version ${version} does not support more than 1 address per family`,
    `use cniVersion 0.3.0 or newer, or fewer ${what}`,
  )
}

function noRoomFor(version: Version): CniError {
  return new CniError(
    code.incompatibleVersion,
    `cannot convert: no valid IP addresses, which a result of CNI ${version} needs`,
    "use cniVersion 0.3.0 or newer for a network without IPAM",
  )
}

function orNothing<Item>(list: readonly Item[]): readonly Item[] | undefined {
  return list.length > 0 ? list : undefined
}
