import { isLocal } from "../../../lib/sys/file-system.ts"
import type { LeaseFiles } from "./lease-files.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import type { LeaseIndex } from "./lease-index.ts"
import type { LeaseName } from "./lease-name.ts"
import { NetnsWitness, unlessUnsure } from "./netns-witness.ts"

/** Leases of one holder whose network namespace is certainly gone. */
export interface ReclaimableLeases {
  readonly holder: LeaseHolder
  readonly names: readonly LeaseName[]
  /** The holder's other leases: made anew by others, in no known namespace. */
  readonly others: readonly LeaseName[]
  /** For the log: the proof that the namespace is gone. */
  readonly reason: string
}

/**
 * Finds the leases, all or one holder's, whose network namespaces are certainly gone: those of an earlier boot, and those that no thread is
 * in and that are mounted nowhere any more, seen from the mount namespace in which the lease was made. In doubt a lease stays: one without
 * a record, as the Go plugin makes them, one made anew since, one in a directory that other machines may share.
 */
export function findReclaimable(files: LeaseFiles, index: LeaseIndex, of?: LeaseHolder): ReclaimableLeases[] {
  if (!unlessUnsure(() => isLocal(files.directory))) return []
  const witness = new NetnsWitness()
  const reclaimable: ReclaimableLeases[] = []
  for (const { holder, names, record } of index.recorded(of, (record) => witness.goneReason(record) !== undefined)) {
    const isRecorded = (name: LeaseName) =>
      files.stampOf(name) === record.lease && unlessUnsure(() => files.holderOf(name)) === holder
    const recorded = names.filter(isRecorded)
    const others = names.filter((name) => !recorded.includes(name))
    const reason = witness.goneReason(record)
    if (recorded.length > 0 && reason) reclaimable.push({ holder, names: recorded, others, reason })
  }
  return reclaimable
}
