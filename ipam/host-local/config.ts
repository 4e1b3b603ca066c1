import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Route } from "../../lib/cni/result.ts"
import { assertOnePerFamily } from "../../lib/cni/result-print.ts"
import { readRoute } from "../../lib/cni/result-read.ts"
import type { Address } from "../../lib/ip/address.ts"
import { sha512Hex } from "../../lib/sys/digest.ts"
import { type RangeSet, rangeFrom, readRangeSet, setsOverlap, withGateway } from "./range-set.ts"
import { readRequested } from "./requested.ts"

const DEFAULT_DATA_DIR = "/var/lib/cni/networks"

/** The place of a network's leases in the file system. */
export interface LeasePlace {
  readonly dataDir: string
  /** The network's directory in it. */
  readonly network: string
}

export interface HostLocalConfig {
  readonly place: LeasePlace
  /** One address is leased from each. The position names the set in its `last_reserved_ip` file. */
  readonly sets: readonly RangeSet[]
  readonly routes: readonly Route[]
  /** The file that the result's `dns` is read from, if any. */
  readonly resolvConf: string | undefined
  readonly requested: readonly Address[]
  /** True if leases of pods that are gone are freed. */
  readonly reclaim: boolean
}

/** Reads the whole configuration, for ADD, CHECK and STATUS; `args` is CNI_ARGS. Throws CniError if any part is invalid. */
export function readHostLocal(config: NetworkConfig, args: string): HostLocalConfig {
  const ipam = readIpam(config.fields)
  const requested = readRequested(config.fields, args)
  const sets = readSets(config.fields, ipam)
  assertOnePerFamily(
    config.cniVersion,
    sets.map(([range]) => range.first.family),
    "range sets",
  )
  return {
    place: placeIn(config, ipam),
    sets,
    routes: ipam.list("routes", readRoute) ?? [],
    resolvConf: readPath(ipam, "resolvConf"),
    requested,
    reclaim: mayReclaim(ipam),
  }
}

/** Reads what DEL and GC need. They free leases even if ranges or arguments have become invalid since ADD. */
export function readPlace(config: NetworkConfig): LeasePlace {
  return placeIn(config, readIpam(config.fields))
}

function placeIn({ name }: NetworkConfig, ipam: Fields): LeasePlace {
  return { dataDir: readPath(ipam, "dataDir") ?? DEFAULT_DATA_DIR, network: directoryName(name) }
}

/** NAME_MAX. */
const MAX_NAME_BYTES = 255

/** Returns the network's name; if that is too long, its beginning and a digest, joined by `#`, which no network's name has. */
function directoryName(network: string): string {
  return network.length <= MAX_NAME_BYTES ? network : `${network.slice(0, 64)}#${sha512Hex(network)}`
}

/** Returns true unless `ipam.reclaim` forbids to free the leases of pods that are gone. */
export function readReclaim(config: NetworkConfig): boolean {
  return mayReclaim(readIpam(config.fields))
}

function mayReclaim(ipam: Fields): boolean {
  return ipam.boolean("reclaim") ?? true
}

function readIpam(fields: Fields): Fields {
  const ipam = fields.fields("ipam")
  if (!ipam) {
    throw new CniError(code.invalidConfig, "IPAM config missing 'ipam' key", 'the config needs an "ipam" object')
  }
  return ipam
}

/** Reads an absolute path; the empty one counts as absent. */
function readPath(fields: Fields, key: string): string | undefined {
  const path = fields.string(key) || undefined
  if (path?.includes("\0")) throw invalidConfig(fields.pathOf(key), `${JSON.stringify(path)} holds a NUL byte`)
  if (path?.startsWith("/") === false) {
    throw invalidConfig(
      fields.pathOf(key),
      `${JSON.stringify(path)} is not an absolute path`,
      "the plugin's working directory is the runtime's: write the whole path",
    )
  }
  return path
}

/** Reads the range sets. If the calling plugin makes the node the pods' gateway, each range sets an address aside for it. */
function readSets(fields: Fields, ipam: Fields): RangeSet[] {
  const sets = readWrittenSets(fields, ipam)
  const needsGateway = fields.get("isGateway") === true || fields.get("isDefaultGateway") === true
  return needsGateway ? sets.map(([head, ...rest]) => [withGateway(head), ...rest.map(withGateway)]) : sets
}

/** Reads the runtime's sets, then the single range of older configurations, then `ranges`. */
function readWrittenSets(fields: Fields, ipam: Fields): RangeSet[] {
  const fromRuntime = fields.fields("runtimeConfig")?.list("ipRanges", readRangeSet) ?? []
  const legacy: RangeSet[] = ipam.has("subnet") ? [[rangeFrom(ipam)]] : []
  const sets = fromRuntime.concat(legacy, ipam.list("ranges", readRangeSet) ?? [])
  if (sets.length === 0) {
    throw new CniError(code.invalidConfig, "no IP ranges specified", "the config needs ipam.ranges or ipam.subnet")
  }
  if (sets.length > 1) refuseOverlaps(sets)
  return sets
}

function refuseOverlaps(sets: readonly RangeSet[]): void {
  for (const [index, set] of sets.entries()) {
    const other = sets.findIndex((later, at) => at > index && setsOverlap(set, later))
    if (other > 0) {
      throw new CniError(
        code.invalidConfig,
        `range set ${index} overlaps with ${other}`,
        "sets are counted from 0: runtimeConfig.ipRanges, then ipam.subnet, then ipam.ranges",
      )
    }
  }
}
