import { readHostLocal, readPlace } from "../../ipam/host-local/config.ts"
import { leaseDirectory } from "../../ipam/host-local/leases/lease-directory.ts"
import { partsOf, readHolder } from "../../ipam/host-local/leases/lease-holder.ts"
import { isLeaseName } from "../../ipam/host-local/leases/lease-name.ts"
import type { RangeSet } from "../../ipam/host-local/range-set.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { type Address, parseAddress } from "../../lib/ip/address.ts"
import { listDirectory, readRegular, unlessMissing } from "../../lib/sys/file.ts"
import { linkStatus } from "../../lib/sys/file-status.ts"
import { configOf, type NetworkList, type PluginConfig } from "./network-list.ts"

/** An address that host-local gave, ours or the Go plugin's. */
export interface Lease {
  readonly network: string
  readonly address: Address
  /** Undefined if the file does not say: a crash left it empty. */
  readonly containerId: string | undefined
  /** Undefined if the file does not say, as those of the Go plugin before 0.8. */
  readonly ifname: string | undefined
  /** Seconds since the epoch. */
  readonly since: bigint
  readonly path: string
}

/** A directory of leases, by the network it belongs to. */
export interface LeaseDirectory {
  readonly network: string
  readonly path: string
}

/** Returns the configurations of the list's plugins whose addresses host-local gives. */
function hostLocalConfigs({ name, plugins }: NetworkList): NetworkConfig[] {
  const isAsked = ({ fields }: PluginConfig) => fields.fields("ipam")?.string("type") === "host-local"
  return plugins.filter(isAsked).map((plugin) => configOf(name, plugin))
}

/** Returns where host-local keeps the list's leases; undefined if another plugin gives its addresses. Throws CniError. */
export function leaseDirectoryOf(list: NetworkList): LeaseDirectory | undefined {
  const [config] = hostLocalConfigs(list)
  return config && { network: list.name, path: leaseDirectory(readPlace(config)) }
}

/** Returns the ranges that host-local gives the list's addresses from. Throws CniError if they are no good. */
export function rangeSetsOf(list: NetworkList): RangeSet[] {
  return hostLocalConfigs(list).flatMap((config) => readHostLocal(config, "").sets)
}

/**
 * Reads the leases in the order of their names, without a lock: those that come and go meanwhile may be there or not. `attempt` reads one, or
 * notes why it cannot be read.
 */
export function readLeases(
  { network, path }: LeaseDirectory,
  attempt: (read: () => Lease | undefined) => Lease | undefined,
): Lease[] {
  const names = (unlessMissing(() => listDirectory(path)) ?? []).filter(isLeaseName).sort()
  return names.flatMap((name) => attempt(() => unlessMissing(() => readLease(network, `${path}/${name}`, name))) ?? [])
}

function readLease(network: string, path: string, name: string): Lease | undefined {
  const address = parseAddress(name)
  const text = readRegular(path, 1 << 20)
  if (!address || text === undefined) return undefined
  const holder = readHolder(text)
  const { containerId, ifname } = holder ? partsOf(holder) : {}
  return { network, address, containerId, ifname, since: linkStatus(path).modified, path }
}

/** Seconds after which a lease must have a pod that its runtime remembers: it does so when ADD has ended. */
const SETTLED = 120

/** Returns the attachments whose ADD may be under way: a runtime remembers them when it has ended. */
export function beingAdded(leases: readonly Lease[]): Attachment[] {
  const isSettled = settledBy(Date.now())
  return leases.flatMap((lease) => {
    const { network, containerId, ifname = "eth0" } = lease
    return containerId === undefined || isSettled(lease) ? [] : [{ network, containerId, ifname }]
  })
}

/** Returns a test for leases that are no longer those of an ADD which may be under way. */
export function settledBy(now: number): (lease: Lease) => boolean {
  const latest = BigInt(Math.floor(now / 1000) - SETTLED)
  return ({ since }) => since < latest
}
