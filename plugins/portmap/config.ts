import { invalidConfig, unsupportedField } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readInteger } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { type Address, type Family, families } from "../../lib/ip/address.ts"
import { readConditions } from "./conditions.ts"
import type { Match } from "./packet-match.ts"
import { type PortMapping, type Protocol, protocols } from "./port-mapping.ts"

/** The configuration of `portmap`, from the network's administrator and, for one pod, from the runtime. */
export interface PortmapConfig {
  readonly mappings: readonly PortMapping[]
  /** Packets of a pod to itself, and of 127.0.0.1, by the node's ports get the node's address as source. */
  readonly snat: boolean
  /** So do everybody else's. Needs `snat`. */
  readonly masqAll: boolean
  /** The conditions that packets must meet to be mapped. */
  readonly conditions: Readonly<Record<Family, readonly Match[]>>
}

/** 127.0.0.1 and ::1 */
const LOCALHOST = families.map((family): Address => ({ family, value: family === 4 ? 0x7f000001n : 1n }))

const MAX_PORT = 65535
const MAX_BIT = 31

/** Reads and checks the configuration for the commands that need it. */
export function readPortmapConfig({ fields }: NetworkConfig): PortmapConfig {
  refuseBackend(fields)
  checkMark(fields)
  return {
    mappings: fields.fields("runtimeConfig")?.list("portMappings", readMappings)?.flat() ?? [],
    snat: fields.boolean("snat") ?? true,
    masqAll: fields.boolean("masqAll") ?? false,
    conditions: { 4: readConditions(fields, 4), 6: readConditions(fields, 6) },
  }
}

function refuseBackend(fields: Fields): void {
  const backend = fields.string("backend") || "nftables"
  if (backend === "nftables") return
  if (backend !== "iptables") throw invalidConfig("backend", `unrecognized backend ${JSON.stringify(backend)}`)
  const advice =
    'remove the key or say "nftables"; both kinds of rules work beside each other, and DEL clears those that the Go plugin made'
  throw unsupportedField("backend", JSON.stringify(backend), advice)
}

/** Checks the mark's bit, which nftables rules do not need. */
function checkMark(fields: Fields): void {
  const bit = fields.integer("markMasqBit")
  const chain = fields.string("externalSetMarkChain")
  if (chain) {
    if (bit !== undefined) {
      throw invalidConfig("externalSetMarkChain", "Cannot specify externalSetMarkChain and markMasqBit", "remove both")
    }
    throw unsupportedField(
      "externalSetMarkChain",
      JSON.stringify(chain),
      "remove the key; no chain of iptables is needed",
    )
  }
  if (bit !== undefined && (bit < 0 || bit > MAX_BIT)) {
    throw invalidConfig("markMasqBit", `MasqMarkBit must be between 0 and ${MAX_BIT}, not ${bit}`)
  }
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
