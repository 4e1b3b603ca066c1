import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { fileStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import { writeObstacle } from "../../lib/sys/file-system.ts"
import { refuseUnlockable } from "../../lib/sys/lock.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { advised } from "./advice.ts"
import { readHostLocal } from "./config.ts"
import { leaseDirectory, lockPath, nearestExisting } from "./lease-directory.ts"

/**
 * Fails with code 50 if leases cannot be written. A range without a free address is no failure: a runtime would take the node's running pods
 * down for it. Changes nothing.
 */
export function status({ environment, config }: Call): void {
  const { place } = readHostLocal(config, environment.args)
  orUnavailable(() => advised(() => refuseUnusable(leaseDirectory(place))))
}

function refuseUnusable(directory: string): void {
  const lock = lockPath(directory)
  const existing = nearestExisting(lock)
  const above = existing === lock ? directory : existing
  if (existing !== lock && fileStatus(above).type !== S_IFDIR) throw new SystemError("ENOTDIR", `use ${above}`)
  const obstacle = writeObstacle(above)
  if (obstacle) throw new SystemError(obstacle, `write to ${above}`)
  refuseUnlockable(existing === lock ? lock : `${above}/`) // of the lock itself no symbolic link is followed
}
