import { invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readList } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import { type Address, bits, formatAddress, plus, sameAddress } from "../../lib/ip/address.ts"
import { contains, formatPrefix, hasHostBits, lastOf, networkOf, type Prefix } from "../../lib/ip/prefix.ts"
import { type AddressRange, formatRange, inRange, rangesOverlap } from "../../lib/ip/range.ts"

/** A span of one subnet from which addresses are leased, and the gateway that comes with them. */
export interface LeaseRange extends AddressRange {
  readonly subnet: Prefix
  /** Undefined if both addresses of a point-to-point subnet are to be leased. */
  readonly gateway: Address | undefined
}

/** Ranges of one family that together provide one address of an attachment. Never empty, never overlapping. */
export type RangeSet = readonly [LeaseRange, ...LeaseRange[]]

/** Returns the range of the set that holds the address. */
export function rangeOf(set: RangeSet, address: Address): LeaseRange | undefined {
  return set.find((range) => inRange(range, address))
}

export function isGateway({ gateway }: LeaseRange, address: Address): boolean {
  return gateway !== undefined && sameAddress(address, gateway)
}

export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(",")
}

export function setsOverlap(a: RangeSet, b: RangeSet): boolean {
  return a.some((range) => b.some((other) => rangesOverlap(range, other)))
}

/** Reads a list of ranges. Throws code 6 or 7, with the path, if it is not valid. */
export function readRangeSet(value: Json, path: string): RangeSet {
  const [head, ...rest] = readList(value, path, readRange)
  if (!head) throw invalidConfig(path, "empty range set", "give it a range, or leave it out")
  const set: RangeSet = [head, ...rest]
  if (rest.length > 0) refuseMixture(set, path)
  return set
}

/** Refuses ranges of two families, and ones that overlap. */
function refuseMixture(set: RangeSet, path: string): void {
  for (const [index, range] of set.entries()) {
    if (range.first.family !== set[0].first.family) {
      throw invalidConfig(path, "mixed address families", "put IPv4 and IPv6 ranges into range sets of their own")
    }
    const other = set.slice(0, index).find((earlier) => rangesOverlap(earlier, range))
    if (other) throw invalidConfig(path, `subnets ${formatRange(other)} and ${formatRange(range)} overlap`)
  }
}

function readRange(value: Json, path: string): LeaseRange {
  return rangeFrom(readFields(value, path))
}

/** Reads the range that `subnet`, `rangeStart`, `rangeEnd` and `gateway` of an object describe. */
export function rangeFrom(fields: Fields): LeaseRange {
  const subnet = readSubnet(fields)
  const afterNetwork = plus(subnet.address, 1n)
  const start = readBound(fields, "rangeStart", subnet)
  const end = readBound(fields, "rangeEnd", subnet)
  const isPair = isPointToPoint(subnet)
  const first = start ?? (isPair ? subnet.address : afterNetwork)
  const last = end ?? lastLeasable(subnet)
  if (!contains(subnet, first) || (start && first.value > last.value)) {
    const details = `${fields.pathOf("rangeEnd")} is ${formatAddress(last)}; the start must not lie behind it`
    throw invalidConfig(fields.pathOf("rangeStart"), notIn(subnet, "RangeStart", first), details)
  }
  if (!contains(subnet, last) || first.value > last.value) {
    const details = `the range starts at ${formatAddress(first)}; the end must not lie before it`
    throw invalidConfig(fields.pathOf("rangeEnd"), notIn(subnet, "RangeEnd", last), details)
  }
  return { subnet, first, last, gateway: fields.address("gateway") ?? (isPair ? undefined : afterNetwork) }
}

/** Returns the range with a gateway in it, for plugins that need one: in a subnet of two addresses the second. */
export function withGateway(range: LeaseRange): LeaseRange {
  return range.gateway ? range : { ...range, gateway: lastOf(range.subnet) }
}

/** Returns true for a /31 or /127, of which both addresses can be leased (RFC 3021, RFC 6164). */
function isPointToPoint({ address, length }: Prefix): boolean {
  return length === bits(address.family) - 1
}

function readBound(fields: Fields, key: string, subnet: Prefix): Address | undefined {
  const address = fields.address(key)
  const { family } = subnet.address
  if (!address || address.family === family) return address
  throw invalidConfig(
    fields.pathOf(key),
    `${notIn(subnet, key.replace(/^r/, "R"), address)}: it is an IPv${address.family} address, the subnet is of IPv${family}`,
    "put IPv4 and IPv6 ranges into range sets of their own",
  )
}

function notIn(subnet: Prefix, name: string, address: Address): string {
  return `${name} ${formatAddress(address)} not in network ${formatPrefix(subnet)}`
}

function readSubnet(fields: Fields): Prefix {
  const path = fields.pathOf("subnet")
  const subnet = fields.prefix("subnet")
  if (!subnet) throw invalidConfig(path, "missing: IP <nil> not v4 nor v6", "every range needs a subnet")
  if (subnet.length === bits(subnet.address.family)) {
    throw invalidConfig(path, `Network ${formatPrefix(subnet)} too small to allocate from`)
  }
  if (hasHostBits(subnet)) {
    const network = formatAddress(networkOf(subnet).address)
    throw invalidConfig(
      path,
      `Network has host bits set. For a subnet mask of length ${subnet.length} the network address is ${network}`,
    )
  }
  return subnet
}

/** Returns the last address of the subnet, without the broadcast address that IPv4 subnets of more than two addresses have. */
function lastLeasable(subnet: Prefix): Address {
  const hasBroadcast = subnet.address.family === 4 && !isPointToPoint(subnet)
  return plus(lastOf(subnet), hasBroadcast ? -1n : 0n)
}
