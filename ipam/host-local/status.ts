import { CniError, code } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Address, formatAddress } from "../../lib/ip/address.ts"
import { listDirectory, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import { writeObstacle } from "../../lib/sys/file-system.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { allocate } from "./allocate.ts"
import { type LeasePlace, readHostLocal } from "./config.ts"
import { exhausted } from "./exhausted.ts"
import { addressesNamed } from "./lease-name.ts"
import { leaseDirectory, leaseIndex, readLastReserved } from "./lease-store.ts"
import { type RangeSet, rangeOf } from "./range-set.ts"
import { findDead } from "./reclaim.ts"

/** Fails with code 50 when the next ADD would: a range set has no free address, or leases cannot be written. Changes nothing. */
export function status({ environment, config }: Call): void {
  const { place, sets, reclaim } = readHostLocal(config, environment.args)
  const directory = leaseDirectory(place)
  if (!isWritable(directory)) return
  const isFree = freeIn(directory)
  for (const [index, set] of sets.entries()) {
    const free = allocate(set, readLastReserved(directory, index), isFree)
    if (free || (reclaim && isHeldByDead(place, set))) continue
    throw exhausted(code.notAvailable, set, directory)
  }
}

/** Throws if leases cannot be written; false if there is no directory yet, and so no lease. */
function isWritable(directory: string): boolean {
  try {
    const existing = nearestExisting(directory)
    if (fileStatus(existing).type !== S_IFDIR) throw new SystemError("ENOTDIR", `use ${existing}`)
    const obstacle = writeObstacle(existing)
    if (obstacle) throw new SystemError(obstacle, `write to ${existing}`)
    return existing === directory
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw unavailable(error.message, "host-local needs a writable directory for its leases: see ipam.dataDir")
  }
}

function nearestExisting(path: string): string {
  if (path === "" || unlessMissing(() => fileStatus(path))) return path || "/"
  return nearestExisting(path.slice(0, Math.max(path.lastIndexOf("/"), 0)))
}

/** Whether ADD would take an address of the set back from a pod that is gone. */
function isHeldByDead(place: LeasePlace, set: RangeSet): boolean {
  const dead = findDead(leaseDirectory(place), leaseIndex(place))
  return dead.some(({ names }) => addressesNamed(names).some((address) => rangeOf(set, address)))
}

/** Looks at one name; if that is taken, lists them all instead of asking for one after the other. */
function freeIn(directory: string): (address: Address) => boolean {
  let names: Set<string> | undefined
  return (address) => {
    const name = formatAddress(address)
    if (!names && !unlessMissing(() => fileStatus(`${directory}/${name}`))) return true
    names ??= new Set(listDirectory(directory))
    return !names.has(name)
  }
}

function unavailable(message: string, details: string): CniError {
  return new CniError(code.notAvailable, message, details)
}
