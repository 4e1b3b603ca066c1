import { parseArgs } from "../../lib/cni/args.ts"
import { CniError, code, invalidArgs, invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readString } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Dns, IpConfig, Route } from "../../lib/cni/result.ts"
import { assertOnePerFamily } from "../../lib/cni/result-print.ts"
import { readDns, readRoute } from "../../lib/cni/result-read.ts"
import { type Address, parseAddress } from "../../lib/ip/address.ts"
import { contains, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"

export interface StaticConfig {
  readonly addresses: readonly IpConfig[]
  readonly routes: readonly Route[]
  readonly dns: Dns
}

/** Reads the whole configuration; `args` is CNI_ARGS. Throws CniError if any part is invalid. */
export function readStatic(config: NetworkConfig, args: string): StaticConfig {
  const ipam = config.fields.fields("ipam")
  if (!ipam) {
    throw new CniError(code.invalidConfig, "IPAM config missing 'ipam' key", 'the config needs an "ipam" object')
  }
  const addresses = readAddresses(config.fields, ipam, args)
  assertOnePerFamily(
    config.cniVersion,
    addresses.map(({ address }) => address.address.family),
    "addresses",
  )
  return { addresses, routes: ipam.list("routes", readRoute) ?? [], dns: readDns(ipam) }
}

/**
 * Reads the runtime's addresses; if there are none, those of `args.cni.ips`; if there are none, the configured ones and those of CNI_ARGS.
 * Reads every source, so that a mistake in any of them is an error.
 */
function readAddresses(fields: Fields, ipam: Fields, args: string): IpConfig[] {
  const configured = [...(ipam.list("addresses", readConfigured) ?? []), ...readArguments(args)]
  const replacing = [fields.fields("args")?.fields("cni"), fields.fields("runtimeConfig")]
  return replacing.reduce((addresses, source) => {
    const entries = source?.list("ips", readEntry) ?? []
    return entries.length > 0 ? entries : addresses
  }, configured)
}

function readConfigured(value: Json, path: string): IpConfig {
  const fields = readFields(value, path)
  const text = fields.string("address") ?? ""
  const address = parsePrefix(text)
  if (!address) {
    const problem = `the 'address' field is expected to be in CIDR notation, got: '${text}'`
    throw invalidConfig(fields.pathOf("address"), problem)
  }
  return { address, gateway: fields.address("gateway") }
}

function readEntry(value: Json, path: string): IpConfig {
  const text = readString(value, path)
  const address = parsePrefix(text)
  if (!address) throw invalidConfig(path, `an entry in the 'ips' field is NOT in CIDR notation, got: '${text}'`)
  return { address }
}

/** Reads `IP` and `GATEWAY` of CNI_ARGS, lists with commas. Each gateway is for the addresses in whose network it lies. */
function readArguments(args: string): IpConfig[] {
  const { IP = "", GATEWAY = "" } = parseArgs(args, ["IP", "GATEWAY"])
  const gateways = split(GATEWAY).map(readGateway)
  return split(IP).map((text) => {
    const address = readArgument(text)
    return { address, gateway: gateways.findLast((gateway) => contains(address, gateway)) }
  })
}

function split(text: string): string[] {
  return text === "" ? [] : text.split(",").map((item) => item.trim())
}

function readArgument(text: string): Prefix {
  const address = parsePrefix(text)
  if (address) return address
  throw invalidArgs(`the 'ip' field is expected to be in CIDR notation, got: '${text}'`)
}

function readGateway(text: string): Address {
  const address = parseAddress(text)
  if (address) return address
  throw invalidArgs(`invalid gateway address: ${text}`)
}
