import { parseArgs } from "../../lib/cni/args.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readString } from "../../lib/cni/fields.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { IpConfig } from "../../lib/cni/result.ts"
import type { Family } from "../../lib/ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix, samePrefix } from "../../lib/ip/prefix.ts"

/** The widest network that a request may name if the configuration names none: that of a cluster (IPv4) or of a link (IPv6). */
const WIDEST: Readonly<Record<Family, number>> = { 4: 16, 6: 64 }

/**
 * Throws code 7 if the bridge would be the gateway of a requested network that is wider than the administrator's: the node would route all
 * of it to the bridge. host-local takes no prefix lengths from requests: its addresses have those of its subnets.
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

/** Returns the requested addresses with a prefix length; IPAM checks the others. */
function readRequests(fields: Fields, args: string): Prefix[] {
  const { IP = "" } = parseArgs(args, ["IP", "MAC"])
  const lists = [fields.fields("args")?.fields("cni"), fields.fields("runtimeConfig")]
  return prefixesIn([...IP.split(","), ...lists.flatMap((list) => list?.list("ips", readString) ?? [])])
}

/** Returns the shortest prefix length of a family in `addresses` of static, or undefined if there is none. */
function widestConfigured(fields: Fields, family: Family): number | undefined {
  const addresses = fields.fields("ipam")?.list("addresses", readFields) ?? []
  const prefixes = prefixesIn(addresses.map((entry) => entry.string("address") ?? ""))
  const lengths = prefixes.filter(({ address }) => address.family === family).map(({ length }) => length)
  return lengths.length > 0 ? Math.min(...lengths) : undefined
}

function prefixesIn(texts: readonly string[]): Prefix[] {
  return texts.map((text) => parsePrefix(text.trim())).filter((prefix) => prefix !== undefined)
}
