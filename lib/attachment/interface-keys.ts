import { parseArgs } from "../cni/args.ts"
import { invalidConfig } from "../cni/errors.ts"
import type { Fields } from "../cni/fields.ts"
import type { Call } from "../cni/plugin.ts"
import type { Dns } from "../cni/result.ts"
import { readDns } from "../cni/result-read.ts"
import { type Mac, parseMac } from "../ip/mac.ts"
import { IPV6_LEAST_MTU } from "../net/ipv6.ts"

/** Reads the IPAM plugin's name; empty for a network without addresses (layer 2 only). */
export function readIpamType(fields: Fields): string {
  return fields.fields("ipam")?.string("type") ?? ""
}

/** The MTU that IPv4 needs, and the largest one that veths, bridges and macvlans may have. */
const [LEAST_MTU, MOST_MTU] = [68, 65_535]

/** Reads `mtu`; 0 or absent leaves the choice to the plugin. */
export function readMtu(fields: Fields): number {
  const mtu = fields.integer("mtu") ?? 0
  if (mtu === 0 || (mtu >= LEAST_MTU && mtu <= MOST_MTU)) return mtu
  const problem = `${mtu} is not between ${LEAST_MTU} and ${MOST_MTU}`
  throw invalidConfig(
    fields.pathOf("mtu"),
    problem,
    'these are the kernel\'s bounds; without "mtu", or with 0, the plugin chooses',
  )
}

/** Throws code 7 if the MTU that `field` sets is too small for the pod's IPv6 addresses; 0 sets none. */
export function assertRoomForIPv6(field: string, mtu: number): void {
  if (mtu === 0 || mtu >= IPV6_LEAST_MTU) return
  const problem = `an MTU of ${mtu} is too small for IPv6, which needs ${IPV6_LEAST_MTU}`
  throw invalidConfig(field, problem, `set it to ${IPV6_LEAST_MTU} or more, or give pods no IPv6 addresses`)
}

/** The rules that masquerade pods: nftables' own, iptables', or those that the network's pods have on the node already, nftables' if none. */
export type MasqueradeBackend = "nftables" | "iptables" | "either"

/** Reads by which rules `ipMasq` asks for masquerading, which needs addresses of IPAM's; undefined if it does not. */
export function readMasquerade(fields: Fields): MasqueradeBackend | undefined {
  const backend = fields.string("ipMasqBackend") || undefined
  if (!fields.boolean("ipMasq") || readIpamType(fields) === "") return undefined
  if (backend === undefined) return "either"
  if (backend === "nftables" || backend === "iptables") return backend
  throw invalidConfig("ipMasqBackend", `unknown backend ${JSON.stringify(backend)}`, 'use "nftables" or "iptables"')
}

/** Reads the configuration's own `dns`. Any list in it makes it count, even an empty one; a domain only if there is one. */
export function readOwnDns(fields: Fields): Dns | undefined {
  const dns = fields.fields("dns")
  const given = dns && (["nameservers", "search", "options"].some((key) => dns.has(key)) || dns.string("domain"))
  return given ? readDns(fields) : undefined
}

/** Parses the MAC address that `source` asks for; an undefined or empty text asks for none. Throws code 7 that names `source`. */
export function readMac(source: string, text: string | undefined): Mac | undefined {
  if (!text) return undefined
  const mac = parseMac(text)
  if (!mac) throw invalidConfig(source, `${JSON.stringify(text)} is not a MAC address`)
  const [first = 0] = mac
  if (first % 2 === 0 && mac.some((byte) => byte !== 0)) return mac
  throw invalidConfig(source, `${JSON.stringify(text)} is not the address of one interface`)
}

/** Reads `MAC` of CNI_ARGS. */
export function macOfArgs({ environment }: Call): string | undefined {
  return parseArgs(environment.args, ["MAC"]).MAC
}

/** Returns the MAC address that the pod's interface is to have: of runtimeConfig, else CNI_ARGS, else the configuration's `mac`. */
export function readConfiguredMac(call: Call): Mac | undefined {
  const { fields } = call.config
  const candidates: [string, string | undefined][] = [
    ["runtimeConfig.mac", fields.fields("runtimeConfig")?.string("mac")],
    ["CNI_ARGS MAC", macOfArgs(call)],
    ["mac", fields.string("mac")],
  ]
  const [name = "", text] = candidates.find(([, value]) => value) ?? []
  return readMac(name, text)
}
