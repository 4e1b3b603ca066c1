import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments, reasonToCollect } from "../../lib/cni/result-read.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { readPlace } from "./config.ts"
import { openExistingLeases } from "./lease-store.ts"
import { describeLease, legacyOwnerOf, type Owner, ownerOf } from "./owner.ts"

/**
 * Frees the leases of this network whose attachment is not on the runtime's list of valid ones; a lease that names only a
 * container, if none of that container is. Other files in the directory stay.
 */
export function gc({ config, log }: Call): void {
  const valid = new Set<Owner>(
    readValidAttachments(config.fields).flatMap((attachment) => [ownerOf(attachment), legacyOwnerOf(attachment)]),
  )
  using leases = openExistingLeases(readPlace(config))
  const stale = [...(leases?.all() ?? [])].filter(([owner]) => !valid.has(owner))
  const failures = stale.flatMap(([owner, addresses]) =>
    failureOf(() => {
      leases?.free(owner)
      log.removed(describeLease(owner, addresses), reasonToCollect(config.fields))
    }),
  )
  if (failures.length > 0) throw failures[0]
}

/** One lease that cannot be freed does not keep the others. */
function failureOf(action: () => void): SystemError[] {
  try {
    action()
    return []
  } catch (error) {
    if (error instanceof SystemError) return [error]
    throw error
  }
}
