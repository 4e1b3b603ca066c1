import { parseArgs } from "../../lib/cni/args.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readString } from "../../lib/cni/fields.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { IpConfig } from "../../lib/cni/result.ts"
import type { Family } from "../../lib/ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix, samePrefix } from "../../lib/ip/prefix.ts"

/** The widest networks that a request makes the node's if the configuration names none: those of clusters and of IPv6 links. */
const WIDEST: Readonly<Record<Family, number>> = { 4: 16, 6: 64 }

/**
 * Throws code 7 if the bridge would be the gateway of a network that a user chose wider than the network's administrator did: the node would
 * lead all of it to the bridge. host-local takes no widths from requests: what it gives is as wide as its subnets.
 */
export function refuseWideRequests({ config, environment }: Call, ipamType: string, ips: readonly IpConfig[]): void {
  if (ipamType === "host-local") return
  const requested = readRequests(config.fields, environment.args)
  for (const { address } of ips) {
    if (!requested.some((prefix) => samePrefix(prefix, address))) continue
    const { family } = address.address
    const widest = (ipamType === "static" && widestConfigured(config.fields, family)) || WIDEST[family]
    if (address.length >= widest) continue
    throw invalidConfig(
      "isGateway",
      `the node would lead all of the requested network of ${formatPrefix(address)} to the bridge`,
      `request it with /${widest} or longer; "addresses" of "ipam" say how wide networks may be`,
    )
  }
}

/** Returns the addresses requested that say how wide their network is; the others are IPAM's to judge. */
function readRequests(fields: Fields, args: string): Prefix[] {
  const { IP = "" } = parseArgs(args, ["IP", "MAC"])
  const lists = [fields.fields("args")?.fields("cni"), fields.fields("runtimeConfig")]
  return prefixesIn([...IP.split(","), ...lists.flatMap((list) => list?.list("ips", readString) ?? [])])
}

/** Returns the length of the widest network of a family among `addresses` of static, or undefined if there is none. */
function widestConfigured(fields: Fields, family: Family): number | undefined {
  const addresses = fields.fields("ipam")?.list("addresses", readFields) ?? []
  const prefixes = prefixesIn(addresses.map((entry) => entry.string("address") ?? ""))
  const lengths = prefixes.filter(({ address }) => address.family === family).map(({ length }) => length)
  return lengths.length > 0 ? Math.min(...lengths) : undefined
}

function prefixesIn(texts: readonly string[]): Prefix[] {
  return texts.map((text) => parsePrefix(text.trim())).filter((prefix) => prefix !== undefined)
}
