import { invalidConfig, unsupportedField } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readInteger } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { type Address, type Family, families } from "../../lib/ip/address.ts"
import { type GivenConditions, givenConditions, readConditions } from "./conditions.ts"
import { type IptablesConditions, readIptablesConditions } from "./iptables/conditions.ts"
import type { Match } from "./packet-match.ts"
import { type HostPort, isKnownToIptables, type PortMapping, type Protocol, protocols } from "./port-mapping.ts"

/** The kinds of rules that lead packets to pods. */
export type Backend = (typeof backends)[number]
const backends = ["iptables", "nftables"] as const

/** The configuration of `portmap`, from the network's administrator and, for one pod, from the runtime. */
export interface PortmapConfig {
  /** Undefined if the configuration leaves the choice to the node: see backendOn(). */
  readonly backend: Backend | undefined
  readonly mappings: readonly PortMapping[]
  /** The ports as the runtime lists them, whatever their families. */
  readonly published: readonly HostPort[]
  /** Packets of a pod to itself, and of 127.0.0.1, by the node's ports get the node's address as source. */
  readonly snat: boolean
  /** So do everybody else's. Needs `snat`. */
  readonly masqAll: boolean
  /** The conditions that packets must meet to be mapped, if they are in the words of nft. */
  readonly conditions: Readonly<Record<Family, readonly Match[]>>
  readonly iptables: IptablesOptions
}

/** The part that counts with rules of iptables alone. */
export interface IptablesOptions {
  /** The conditions, if they are in the words of iptables. */
  readonly conditions: Readonly<Record<Family, IptablesConditions>>
  /** The bit of the mark by which packets are known that get the node's address as source. */
  readonly markBit: number
  /** The chain of others that marks them in place of the plugin's own. */
  readonly markChain: string | undefined
}

/** 127.0.0.1 and ::1 */
const LOCALHOST = families.map((family): Address => ({ family, value: family === 4 ? 0x7f000001n : 1n }))

const MAX_PORT = 65535
const MAX_BIT = 31
/** Kubernetes uses 14 and 15, Calico 20 and more. */
const DEFAULT_BIT = 13

/** Reads and checks the configuration for the commands that need it. */
export function readPortmapConfig({ fields }: NetworkConfig): PortmapConfig {
  const markChain = fields.string("externalSetMarkChain") || undefined
  const markBit = readMarkBit(fields, markChain)
  const [ipv4, ipv6] = [givenConditions(fields, 4), givenConditions(fields, 6)]
  const backend = readBackend(fields, markChain, [ipv4, ipv6])
  const lists = fields.fields("runtimeConfig")?.list("portMappings", readMappings) ?? []
  const published = lists.flatMap((list) => list.slice(0, 1))
  if (backend === "iptables") refuseUnknownToIptables(published)
  return {
    backend,
    mappings: lists.flat(),
    published,
    snat: fields.boolean("snat") ?? true,
    masqAll: fields.boolean("masqAll") ?? false,
    conditions: { 4: readConditions(ipv4), 6: readConditions(ipv6) },
    iptables: { markBit, markChain, conditions: { 4: ofIptables(ipv4), 6: ofIptables(ipv6) } },
  }
}

function ofIptables(given: GivenConditions | undefined): IptablesConditions {
  return given?.backend === "iptables" ? readIptablesConditions(given.key, given.text, given.family) : {}
}

/** Returns the backend that is asked for, by name or in that the configuration has options that are only of one. */
function readBackend(
  fields: Fields,
  markChain: string | undefined,
  conditions: readonly (GivenConditions | undefined)[],
): Backend | undefined {
  const name = fields.string("backend") ?? ""
  const asked = backends.find((known) => known === name)
  if (!asked && name !== "") throw invalidConfig("backend", `unrecognized backend ${JSON.stringify(name)}`)
  const options: Pick<GivenConditions, "key" | "backend">[] = []
  if (markChain !== undefined) options.push({ key: "externalSetMarkChain", backend: "iptables" })
  for (const given of conditions) if (given) options.push(given)
  const backend = asked ?? (options.some((option) => option.backend === "iptables") ? "iptables" : options[0]?.backend)
  const others = options.filter((option) => option.backend !== backend).map(({ key }) => key)
  if (others.length === 0) return backend
  const other = backend === "iptables" ? "nftables" : "iptables"
  throw invalidConfig(
    "backend",
    `${backend} backend was requested but configuration contains ${other}-specific options [${others.join(" ")}]`,
    `say them in the words of ${backend}, or ask for ${other}`,
  )
}

function refuseUnknownToIptables(published: readonly HostPort[]): void {
  const at = published.findIndex((port) => !isKnownToIptables(port))
  const protocol = published[at]?.protocol
  if (!protocol) return
  const advice =
    'the iptables backend knows ports of tcp, udp and sctp; "backend": "nftables" knows those of all protocols'
  throw unsupportedField(`runtimeConfig.portMappings[${at}].protocol`, protocol, advice)
}

/** Reads a number that rules of nftables do not need. */
function readMarkBit(fields: Fields, markChain: string | undefined): number {
  const bit = fields.integer("markMasqBit")
  if (bit !== undefined && markChain !== undefined) {
    throw invalidConfig("externalSetMarkChain", "Cannot specify externalSetMarkChain and markMasqBit", "remove one")
  }
  if (bit !== undefined && (bit < 0 || bit > MAX_BIT)) {
    throw invalidConfig("markMasqBit", `MasqMarkBit must be between 0 and ${MAX_BIT}, not ${bit}`)
  }
  return bit ?? DEFAULT_BIT
}

/** Returns one mapping, or one for each family if `hostIP` is `localhost`. */
function readMappings(value: Json, path: string): PortMapping[] {
  const fields = readFields(value, path)
  const mapping = {
    containerPort: readPort(fields, "containerPort", "container"),
    hostPort: readPort(fields, "hostPort", "host"),
    protocol: readProtocol(fields),
  }
  if (fields.string("hostIP")?.toLowerCase() === "localhost") return LOCALHOST.map((hostIp) => ({ ...mapping, hostIp }))
  return [{ ...mapping, hostIp: fields.address("hostIP") }]
}

function readPort(fields: Fields, key: string, whose: string): number {
  const path = fields.pathOf(key)
  const port = readInteger(fields.get(key) ?? 0, path, {})
  if (port < 1 || port > MAX_PORT) {
    throw invalidConfig(path, `Invalid ${whose} port number: ${port}`, `ports are from 1 to ${MAX_PORT}`)
  }
  return port
}

function readProtocol(fields: Fields): Protocol {
  const text = fields.string("protocol") ?? ""
  const protocol = text.toLowerCase()
  if (isProtocol(protocol)) return protocol
  throw invalidConfig(
    fields.pathOf("protocol"),
    `unknown protocol ${JSON.stringify(text)}`,
    `known are ${Object.keys(protocols).join(", ")}`,
  )
}

function isProtocol(text: string): text is Protocol {
  return Object.hasOwn(protocols, text)
}
