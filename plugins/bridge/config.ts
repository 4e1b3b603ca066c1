import {
  type MasqueradeBackend,
  macOfArgs,
  readIpamType,
  readMac,
  readMasquerade,
  readMtu,
  readOwnDns,
} from "../../lib/attachment/interface-keys.ts"
import { ifnameProblem } from "../../lib/cni/environment.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readFields, readInteger } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import type { Call, NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Dns } from "../../lib/cni/result.ts"
import type { Mac } from "../../lib/ip/mac.ts"

/** The configuration of `bridge`, with defaults and checked. */
export interface BridgeConfig {
  readonly bridge: string
  readonly isGateway: boolean
  readonly isDefaultGateway: boolean
  readonly forceAddress: boolean
  /** 0: the default route's MTU for a bridge to be made, the bridge's MTU for the veths. */
  readonly mtu: number
  readonly hairpinMode: boolean
  readonly promiscMode: boolean
  /** 0: no VLAN. */
  readonly vlan: number
  /** The VLANs carried tagged, ascending; undefined without the key, which differs from an empty list. */
  readonly vlanTrunk: readonly number[] | undefined
  readonly preserveDefaultVlan: boolean
  readonly enableDad: boolean
  readonly disableContainerInterface: boolean
  readonly portIsolation: boolean
  /** Undefined: pods are not masqueraded. */
  readonly ipMasq: MasqueradeBackend | undefined
  readonly macspoofchk: boolean
  /** Empty: a network without addresses (layer 2 only). */
  readonly ipamType: string
  /** The configuration's own DNS settings, which replace those of IPAM as a whole. */
  readonly dns: Dns | undefined
}

const DEFAULT_BRIDGE = "cni0"
const MAX_VLAN = 4094

/** Reads and checks the configuration for the commands that need all of it. */
export function readBridgeConfig({ fields }: NetworkConfig): BridgeConfig {
  const isDefaultGateway = fields.flag("isDefaultGateway")
  const config: BridgeConfig = {
    bridge: readBridgeName(fields),
    isGateway: fields.flag("isGateway") || isDefaultGateway,
    isDefaultGateway,
    forceAddress: fields.flag("forceAddress"),
    mtu: readMtu(fields),
    hairpinMode: fields.flag("hairpinMode"),
    promiscMode: fields.flag("promiscMode"),
    vlan: readVlan(fields),
    vlanTrunk: readTrunk(fields),
    preserveDefaultVlan: fields.flag("preserveDefaultVlan"),
    enableDad: fields.flag("enabledad"),
    disableContainerInterface: fields.flag("disableContainerInterface"),
    portIsolation: fields.flag("portIsolation"),
    ipMasq: readMasquerade(fields),
    macspoofchk: fields.flag("macspoofchk"),
    ipamType: readIpamType(fields),
    dns: readOwnDns(fields),
  }
  refuseContradictions(config)
  return config
}

function readBridgeName(fields: Fields): string {
  const name = fields.string("bridge") || DEFAULT_BRIDGE
  const problem = ifnameProblem(name)
  if (problem) throw invalidConfig("bridge", `${problem}: ${JSON.stringify(name)}`)
  return name
}

function refuseContradictions(config: BridgeConfig): void {
  if (config.hairpinMode && config.promiscMode) {
    throw invalidConfig("hairpinMode", "cannot set hairpin mode and promiscuous mode at the same time", "choose one")
  }
  if (config.disableContainerInterface && config.ipamType !== "") {
    throw invalidConfig(
      "disableContainerInterface",
      "cannot use IPAM when DisableContainerInterface flag is set",
      'remove "ipam" or "disableContainerInterface"',
    )
  }
  if (config.isGateway && config.vlan !== 0 && config.ipamType !== "") refuseLongName(`${config.bridge}.${config.vlan}`)
}

function refuseLongName(gateway: string): void {
  const problem = ifnameProblem(gateway)
  if (!problem) return
  throw invalidConfig("vlan", `${problem}: the gateway's would be ${JSON.stringify(gateway)}`, "shorten the bridge's")
}

function readVlan(fields: Fields): number {
  const vlan = fields.integer("vlan") ?? 0
  if (vlan < 0 || vlan > MAX_VLAN) {
    throw invalidConfig("vlan", `invalid VLAN ID ${vlan} (must be between 0 and ${MAX_VLAN})`)
  }
  return vlan
}

function readTrunk(fields: Fields): number[] | undefined {
  const entries = fields.list("vlanTrunk", readTrunkEntry)
  return entries && [...new Set(entries.flat())].sort((a, b) => a - b)
}

/** Returns the VLANs of `{minID, maxID}`, `{id}`, or both. */
function readTrunkEntry(value: Json, path: string): number[] {
  const entry = readFields(value, path)
  const [min, max, id] = ["minID", "maxID", "id"].map((key) => readTrunkId(entry, key))
  if (min === undefined && max !== undefined) {
    throw invalidConfig(`${path}.minID`, "minID and maxID should be configured simultaneously, minID is missing")
  }
  if (max === undefined && min !== undefined) {
    throw invalidConfig(`${path}.maxID`, "minID and maxID should be configured simultaneously, maxID is missing")
  }
  const range = min === undefined || max === undefined ? [] : expand(min, max, path)
  return id === undefined ? range : [...range, id]
}

function readTrunkId(entry: Fields, key: string): number | undefined {
  const value = entry.get(key)
  if (value === undefined) return undefined
  const path = entry.pathOf(key)
  const id = readInteger(value, path, {})
  if (id < 1 || id > MAX_VLAN) {
    throw invalidConfig(path, `incorrect trunk ${key} parameter ${id} (must be between 1 and ${MAX_VLAN})`)
  }
  return id
}

function expand(min: number, max: number, path: string): number[] {
  if (min > max) throw invalidConfig(path, "minID is greater than maxID in trunk parameter")
  return Array.from({ length: max - min + 1 }, (_, index) => min + index)
}

/** Returns the MAC address requested for the pod's interface, from runtimeConfig, else args.cni, else CNI_ARGS. */
export function readRequestedMac(call: Call): Mac | undefined {
  const { fields } = call.config
  const ofRuntime = fields.fields("runtimeConfig")?.string("mac")
  const ofArgs = fields.fields("args")?.fields("cni")?.string("mac")
  const ofVariable = macOfArgs(call)
  if (ofRuntime) return readMac("runtimeConfig.mac", ofRuntime)
  return ofArgs ? readMac("args.cni.mac", ofArgs) : readMac("CNI_ARGS MAC", ofVariable)
}
