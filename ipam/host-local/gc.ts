import { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readSurvivors } from "../../lib/cni/valid-attachments.ts"
import { advised } from "./advice.ts"
import { readPlace, readReclaim } from "./config.ts"
import { type Attachment, describeLease, legacyOwnerOf, type Owner, partsOf } from "./leases/lease-holder.ts"
import { openExistingLeases } from "./leases/lease-store.ts"
import { reclaimLeases } from "./reclaim-leases.ts"

/**
 * Frees the leases of this network whose attachment is not on the runtime's list of valid ones; a lease that names only a
 * container, if none of that container is. Without a list it frees those of pods that are certainly gone. Other files in the directory stay.
 */
export function gc(call: Call): void {
  const { config, log } = call
  using leases = openExistingLeases(readPlace(config)) // first, for that may take as much memory as the list
  const { attachments, reason } = readSurvivors(call)
  const reclaims = readReclaim(config)
  if (!leases) return
  const failures = new Failures()
  const attempt = (step: () => void) => failures.attempt(() => advised(step))
  if (attachments) {
    const isValid = membership(attachments)
    leases.freeAll(
      (owner) => !isValid(owner),
      (owner, names) => log.removed(describeLease(owner, names), reason),
      attempt,
    )
  } else if (reclaims) {
    reclaimLeases(leases, call, undefined, attempt)
  }
  failures.rethrow()
}

/** Whether an owner is among the attachments; one that names only a container, if any of that container is. */
function membership(attachments: readonly Attachment[]): (owner: Owner) => boolean {
  /** The interfaces of each container, one after the other. */
  const interfaces = new Map<Owner, string>()
  for (const attachment of attachments) {
    const container = legacyOwnerOf(attachment)
    const others = interfaces.get(container)
    interfaces.set(container, others === undefined ? attachment.ifname : `${others}\n${attachment.ifname}`)
  }
  return (owner) => {
    const { containerId, ifname } = partsOf(owner)
    const known = interfaces.get(legacyOwnerOf({ containerId }))
    return known !== undefined && (ifname === undefined || known.split("\n").includes(ifname))
  }
}
