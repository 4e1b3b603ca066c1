import { fileStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import { writeObstacle } from "../../lib/sys/file-system.ts"
import { refuseUnlockable } from "../../lib/sys/lock.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import type { HostLocalConfig } from "./config.ts"
import { leaseDirectory, lockPath, nearestExisting } from "./leases/lease-directory.ts"

/**
 * Throws if leases cannot be written. A range without a free address is no failure: for a failed STATUS a runtime marks the node as not
 * ready, which costs it its running pods.
 */
export function status({ place }: HostLocalConfig): void {
  const directory = leaseDirectory(place)
  const lock = lockPath(directory)
  const existing = nearestExisting(lock)
  const above = existing === lock ? directory : existing
  if (existing !== lock && fileStatus(above).type !== S_IFDIR) throw new SystemError("ENOTDIR", `use ${above}`)
  const obstacle = writeObstacle(above)
  if (obstacle) throw new SystemError(obstacle, `write to ${above}`)
  refuseUnlockable(existing === lock ? lock : `${above}/`) // the slash has a symbolic link followed, which a lock must not be
}
