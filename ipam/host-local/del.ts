import type { Call } from "../../lib/cni/plugin.ts"
import { readPlace } from "./config.ts"
import { holderOf, legacyHolderOf } from "./leases/lease-holder.ts"
import { openExistingLeases } from "./leases/lease-store.ts"

/** Frees what the attachment holds in this network. Reads neither ranges nor arguments, which may have become invalid. */
export function del({ environment, config }: Call): void {
  using leases = openExistingLeases(readPlace(config))
  if (!leases?.free(holderOf(environment))) leases?.free(legacyHolderOf(environment))
}
