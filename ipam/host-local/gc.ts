import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments, reasonToCollect, type ValidAttachment } from "../../lib/cni/result-read.ts"
import { readPlace } from "./config.ts"
import { openExistingLeases } from "./lease-store.ts"
import { describeLease, legacyOwnerOf, type Owner, partsOf } from "./owner.ts"

/**
 * Frees the leases of this network whose attachment is not on the runtime's list of valid ones; a lease that names only a
 * container, if none of that container is. Other files in the directory stay.
 */
export function gc({ config, log }: Call): void {
  using leases = openExistingLeases(readPlace(config)) // first, for that may take as much memory as the list
  const isValid = membership(readValidAttachments(config.fields))
  if (!leases) return
  const reason = reasonToCollect(config.fields)
  leases.freeAll(
    (owner) => !isValid(owner),
    (owner, names) => log.removed(describeLease(owner, names), reason),
  )
}

/** Whether an owner is among the attachments; one that names only a container, if any of that container is. */
function membership(attachments: readonly ValidAttachment[]): (owner: Owner) => boolean {
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
