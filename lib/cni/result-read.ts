import type { Prefix } from "../ip/prefix.ts"
import { undecodable } from "./errors.ts"
import { Fields, readFields } from "./fields.ts"
import type { Json } from "./json.ts"
import type { Dns, Interface, IpConfig, Result, Route } from "./result.ts"
import { atLeast, type Version, versions } from "./version.ts"

/**
 * Reads a result printed in `version`, or in the version it names itself, which must be of the same family
 * (0.1 to 0.2, 0.3 to 0.4, 1.0 to 1.1). Throws naming the path.
 */
export function readResult(value: Json, path: string, version: Version): Result {
  const fields = readFields(value, path)
  const named = fields.string("cniVersion") || version
  if (named !== version && !familyOf(version).includes(named as Version)) {
    const supported = familyOf(version).map((name) => JSON.stringify(name))
    throw undecodable(
      path,
      `result type supports [${supported.join(" ")}] but its cniVersion is ${JSON.stringify(named)}`,
      "all plugins of a chain have to answer in the cniVersion of its config",
    )
  }
  return atLeast(version, "0.3.0") ? readModern(fields) : readEarly(fields)
}

/** Reads a delegate's result, which may come in any version whatever the config's; one that names none is in `version`. */
export function readDelegatedResult(value: Json, path: string, version: Version): Result {
  const named = readFields(value, path).string("cniVersion")
  return readResult(value, path, versions.find((known) => known === named) ?? version)
}

/** Returns the versions whose results have the same shape as those of `version`. */
function familyOf(version: Version): Version[] {
  const bounds: Version[] = ["0.1.0", "0.3.0", "1.0.0"]
  const start = bounds.findLast((bound) => atLeast(version, bound))
  return versions.filter((other) => bounds.findLast((bound) => atLeast(other, bound)) === start)
}

function readModern(fields: Fields): Result {
  return {
    interfaces: fields.list("interfaces", readInterface) ?? [],
    ips: fields.list("ips", readIp) ?? [],
    routes: fields.list("routes", readRoute) ?? [],
    dns: readDns(fields),
  }
}

function readInterface(value: Json, path: string): Interface {
  const fields = readFields(value, path)
  return {
    name: fields.string("name") ?? "",
    mac: fields.string("mac") ?? "",
    mtu: fields.integer("mtu"),
    sandbox: fields.string("sandbox") ?? "",
    socketPath: fields.string("socketPath"),
    pciID: fields.string("pciID"),
  }
}

function readIp(value: Json, path: string): IpConfig {
  const fields = readFields(value, path)
  return {
    address: required(fields, "address"),
    gateway: fields.address("gateway"),
    interface: fields.integer("interface"),
  }
}

/** The numbers that the kernel has room for: a greater one would silently become another. */
const U32 = { min: 0, max: 0xffffffff }
const U8 = { min: 0, max: 0xff }

/** Reads a route of a result or of an IPAM configuration. Throws naming the path. */
export function readRoute(value: Json, path: string): Route {
  const fields = readFields(value, path)
  return {
    dst: required(fields, "dst"),
    gw: fields.address("gw"),
    mtu: fields.integer("mtu", U32),
    advmss: fields.integer("advmss", U32),
    priority: fields.integer("priority", U32),
    table: fields.integer("table", U32),
    scope: fields.integer("scope", U8),
  }
}

/** Reads `dns` of a result or a configuration. */
export function readDns(fields: Fields): Dns {
  const dns = fields.fields("dns") ?? new Fields({}, "dns")
  return {
    nameservers: dns.strings("nameservers"),
    domain: dns.string("domain") ?? "",
    search: dns.strings("search"),
    options: dns.strings("options"),
  }
}

/** Reads a result of 0.1.0 or 0.2.0: one address per family, each with its routes. */
function readEarly(fields: Fields): Result {
  const families = [fields.fields("ip4"), fields.fields("ip6")].filter((family) => family !== undefined)
  return {
    interfaces: [],
    ips: families.map((family) => ({ address: required(family, "ip"), gateway: family.address("gateway") })),
    routes: families.flatMap((family) => family.list("routes", readRoute) ?? []),
    dns: readDns(fields),
  }
}

function required(fields: Fields, key: string): Prefix {
  const prefix = fields.prefix(key)
  if (!prefix) throw undecodable(fields.pathOf(key), "missing")
  return prefix
}
