import { parseArgs } from "../cni/args.ts"
import { invalidConfig, unsupportedField } from "../cni/errors.ts"
import type { Fields } from "../cni/fields.ts"
import type { Call } from "../cni/plugin.ts"
import type { Dns } from "../cni/result.ts"
import { readDns } from "../cni/result-read.ts"
import { type Mac, parseMac } from "../ip/mac.ts"
import { IPV6_LEAST_MTU } from "../net/ipv6.ts"

/** The IPAM plugin's name; empty for a network without addresses (layer 2 only). */
export function readIpamType(fields: Fields): string {
  return fields.fields("ipam")?.string("type") ?? ""
}

/** What IPv4 needs, and what the kernel lets veths, bridges and macvlans have. */
const [LEAST_MTU, MOST_MTU] = [68, 65_535]

/** `mtu`; 0 or absent leaves the choice to the plugin. */
export function readMtu(fields: Fields): number {
  const mtu = fields.integer("mtu") ?? 0
  if (mtu === 0 || (mtu >= LEAST_MTU && mtu <= MOST_MTU)) return mtu
  const problem = `${mtu} is not between ${LEAST_MTU} and ${MOST_MTU}`
  throw invalidConfig("mtu", problem, 'these are the kernel\'s bounds; without "mtu", or with 0, the plugin chooses')
}

/** Throws code 7 if an MTU that `field` sets, which is none where 0, has no room for the pod's IPv6 addresses. */
export function assertRoomForIPv6(field: string, mtu: number): void {
  if (mtu === 0 || mtu >= IPV6_LEAST_MTU) return
  const problem = `an MTU of ${mtu} is too small for IPv6, which needs ${IPV6_LEAST_MTU}`
  throw invalidConfig(field, problem, `set it to ${IPV6_LEAST_MTU} or more, or give pods no IPv6 addresses`)
}

/** `ipMasq`: whether to masquerade, which only addresses of IPAM's can be. Of the backends there is one. */
export function readMasquerade(fields: Fields): boolean {
  const backend = fields.string("ipMasqBackend") || "nftables"
  if (!fields.boolean("ipMasq") || readIpamType(fields) === "") return false
  if (backend === "iptables") {
    const instead = 'remove the key, or set it to "nftables": both backends work beside the iptables rules of others'
    throw unsupportedField("ipMasqBackend", backend, instead)
  }
  if (backend !== "nftables") throw invalidConfig("ipMasqBackend", `unknown backend ${JSON.stringify(backend)}`)
  return true
}

/** The configuration's own `dns`. Any list in it makes it count, even an empty one; a domain only if there is one. */
export function readOwnDns(fields: Fields): Dns | undefined {
  const dns = fields.fields("dns")
  const given = dns && (["nameservers", "search", "options"].some((key) => dns.has(key)) || dns.string("domain"))
  return given ? readDns(fields) : undefined
}

/** The MAC address `text`, which is undefined or empty where none is asked for. `source` says where it was found. */
export function readMac(source: string, text: string | undefined): Mac | undefined {
  if (!text) return undefined
  const mac = parseMac(text)
  if (!mac) throw invalidConfig(source, `${JSON.stringify(text)} is not a MAC address`)
  return mac
}

/** `MAC` of CNI_ARGS. */
export function macOfArgs({ environment }: Call): string | undefined {
  return parseArgs(environment.args, ["MAC"]).MAC
}
