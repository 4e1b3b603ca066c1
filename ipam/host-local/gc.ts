import type { Attachment } from "../../lib/cni/attachment.ts"
import { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readSurvivors } from "../../lib/cni/valid-attachments.ts"
import { advised } from "./advice.ts"
import { readPlace, readReclaim } from "./config.ts"
import { describeLease, type LeaseHolder, legacyHolderOf, partsOf } from "./leases/lease-holder.ts"
import { openExistingLeases } from "./leases/lease-store.ts"
import { reclaimLeases } from "./reclaim-leases.ts"

/**
 * Frees the leases of this network whose attachment is not on the runtime's list of valid ones. A lease that names only a container stays
 * if any attachment of the container is valid. Without a list, GC frees the leases of pods that are certainly gone.
 */
export function gc(call: Call): void {
  const { config, log } = call
  using leases = openExistingLeases(readPlace(config)) // first: reading all leases may take as much memory as the list
  const { attachments, reason } = readSurvivors(call)
  const reclaims = readReclaim(config)
  if (!leases) return
  const failures = new Failures()
  const attempt = (step: () => void) => failures.capture(() => advised(step))
  if (attachments) {
    const isValid = membership(attachments)
    leases.freeAll(
      (holder) => !isValid(holder),
      (holder, names) => log.removed(describeLease(holder, names), reason),
      attempt,
    )
  } else if (reclaims) {
    reclaimLeases(leases, call, undefined, attempt)
  }
  failures.rethrow()
}

/** Returns a test for the attachments. A holder that names only a container passes if any of its attachments is there. */
function membership(attachments: readonly Attachment[]): (holder: LeaseHolder) => boolean {
  /** By container, its interfaces, one a line. */
  const interfaces = new Map<LeaseHolder, string>()
  for (const attachment of attachments) {
    const container = legacyHolderOf(attachment)
    const others = interfaces.get(container)
    interfaces.set(container, others === undefined ? attachment.ifname : `${others}\n${attachment.ifname}`)
  }
  return (holder) => {
    const { containerId, ifname } = partsOf(holder)
    const known = interfaces.get(legacyHolderOf({ containerId }))
    return known !== undefined && (ifname === undefined || known.split("\n").includes(ifname))
  }
}
