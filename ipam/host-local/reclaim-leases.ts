import type { Call } from "../../lib/cni/plugin.ts"
import { describeLease, type Owner } from "./leases/lease-holder.ts"
import type { Attempt, LeaseStore } from "./leases/lease-store.ts"

/** Takes back what dead pods hold, all or one, and says so; answers if there was anything. */
export function reclaimLeases(leases: LeaseStore, { log }: Call, of?: Owner, attempt?: Attempt): boolean {
  const dead = leases.reclaim(of, attempt)
  for (const { owner, names, reason } of dead) log.removed(describeLease(owner, names), reason)
  return dead.length > 0
}
