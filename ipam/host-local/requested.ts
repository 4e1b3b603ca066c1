import { parseArgs } from "../../lib/cni/args.ts"
import { CniError, code, invalidArgs, invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readString } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import { type Address, formatAddress, parseAddress, sameAddress } from "../../lib/ip/address.ts"
import { contains, parsePrefix } from "../../lib/ip/prefix.ts"
import { formatSet, type RangeSet, rangeOf } from "./range-set.ts"

/**
 * Reads the addresses that the caller asks for: `IP` of CNI_ARGS, `args.cni.ips` and `runtimeConfig.ips` together, each once. By CNI's
 * conventions `args` would replace CNI_ARGS; the Go plugin takes both, and so do we.
 */
export function readRequested(fields: Fields, args: string): Address[] {
  const { IP = "" } = parseArgs(args, ["IP"])
  const all = IP === "" ? [] : [readArgument(IP)]
  const cni = fields.fields("args")?.fields("cni")
  const runtime = fields.fields("runtimeConfig")
  for (const list of [cni, runtime]) if (list) all.push(...(list.list("ips", readMaybePrefix) ?? []))
  return all.filter((address, index) => all.findIndex((other) => sameAddress(other, address)) === index)
}

function readArgument(text: string): Address {
  const address = parseMaybePrefix(text)
  if (!address) {
    throw invalidArgs(`IP: ${JSON.stringify(text)} is not an IP address`)
  }
  return address
}

function readMaybePrefix(value: Json, path: string): Address {
  const text = readString(value, path)
  const address = parseMaybePrefix(text)
  if (!address) throw invalidConfig(path, `${JSON.stringify(text)} is not an IP address`)
  return address
}

/** Parses an address, and ignores its prefix length if it has one. */
function parseMaybePrefix(text: string): Address | undefined {
  return text.includes("/") ? parsePrefix(text)?.address : parseAddress(text)
}

/** Returns the address requested from each set, in the sets' order; nothing if none is. Throws CniError if no set can give one of them. */
export function assignRequested(sets: readonly RangeSet[], requested: readonly Address[]): (Address | undefined)[] {
  if (requested.length === 0) return []
  const assigned = sets.map((set) => requested.find((address) => rangeOf(set, address)))
  const left = requested.filter((address) => !assigned.includes(address))
  if (left.length > 0) {
    throw new CniError(
      code.noAddress,
      `failed to allocate all requested IPs: ${left.map(formatAddress).join(" ")}`,
      left.map((address) => reasonAgainst(sets, address)).join("; "),
    )
  }
  return assigned
}

function reasonAgainst(sets: readonly RangeSet[], address: Address): string {
  const text = formatAddress(address)
  const serving = sets.find((set) => rangeOf(set, address))
  if (serving) return `${text}: only one address can be had from range set ${formatSet(serving)}`
  const around = sets.find((set) => set.some(({ subnet }) => contains(subnet, address)))
  if (around) return `${text} not in range set ${formatSet(around)}`
  return `${text} is in none of this network's subnets`
}
