import type { Call } from "../../lib/cni/plugin.ts"
import { describeLease, type LeaseHolder } from "./leases/lease-holder.ts"
import type { Attempt, LeaseStore } from "./leases/lease-store.ts"

/** Frees the leases of pods that are certainly gone, all or one holder's, and logs them; returns true if there were any. */
export function reclaimLeases(leases: LeaseStore, { log }: Call, of?: LeaseHolder, attempt?: Attempt): boolean {
  const freed = leases.reclaim(of, attempt)
  for (const { holder, names, reason } of freed) log.removed(describeLease(holder, names), reason)
  return freed.length > 0
}
