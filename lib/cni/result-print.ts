import { type Family, families, formatAddress } from "../ip/address.ts"
import { formatPrefix } from "../ip/prefix.ts"
import { CniError, code } from "./errors.ts"
import { printJson } from "./json.ts"
import type { Dns, Interface, IpConfig, Result, Route } from "./result.ts"
import { atLeast, type Version } from "./version.ts"

/**
 * Prints the result as the Go plugins do in `version`, byte for byte.
 * Up to 0.4.0 keys come in the order the specification declares them and `dns` always appears; from 1.0.0 on keys are sorted
 * and an empty `dns` is left out. Throws if `version` has no room for the result: 0.1.0 and 0.2.0 need an address.
 */
export function printResult(result: Result, version: Version): string {
  if (atLeast(version, "1.0.0")) return printJson(modern(result, version), sortedKeys)
  return printJson(atLeast(version, "0.3.0") ? modern(result, version) : early(result, version))
}

/** Every key of a 1.x result. */
const sortedKeys = [
  "address",
  "advmss",
  "cniVersion",
  "dns",
  "domain",
  "dst",
  "gateway",
  "gw",
  "interface",
  "interfaces",
  "ips",
  "mac",
  "mtu",
  "name",
  "nameservers",
  "options",
  "pciID",
  "priority",
  "routes",
  "sandbox",
  "scope",
  "search",
  "socketPath",
  "table",
]

type Printed = Record<string, unknown>

function modern({ interfaces, ips, routes, dns }: Result, version: Version): Printed {
  const is1 = atLeast(version, "1.0.0")
  return {
    cniVersion: version,
    interfaces: orNothing(interfaces.map((link) => printInterface(link, is1))),
    ips: orNothing(ips.map((ip) => printIp(ip, is1))),
    routes: orNothing(routes.map(printRoute)),
    dns: printDns(dns, is1),
  }
}

function printInterface(link: Interface, is1: boolean): Printed {
  const basic = { name: link.name, mac: link.mac || undefined, sandbox: link.sandbox || undefined }
  if (!is1) return basic
  return {
    ...basic,
    mtu: link.mtu || undefined,
    socketPath: link.socketPath || undefined,
    pciID: link.pciID || undefined,
  }
}

function printIp(ip: IpConfig, is1: boolean): Printed {
  return {
    version: is1 ? undefined : String(ip.address.address.family),
    interface: ip.interface,
    address: formatPrefix(ip.address),
    gateway: ip.gateway && formatAddress(ip.gateway),
  }
}

/** Prints the fields of 1.1.0 in every version that has room for routes, as the Go plugins do. */
function printRoute(route: Route): Printed {
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

function printDns({ nameservers, domain, search, options }: Dns, omitEmpty: boolean): Printed | undefined {
  const empty = nameservers.length + search.length + options.length === 0 && domain === ""
  if (empty && omitEmpty) return undefined
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
  return { cniVersion: version, ip4, ip6, dns: printDns(result.dns, false) }
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
