import type { Call } from "../../lib/cni/plugin.ts"
import { readPlace } from "./config.ts"
import { legacyOwnerOf, ownerOf } from "./leases/lease-holder.ts"
import { openExistingLeases } from "./leases/lease-store.ts"

/** Frees whatever the attachment holds in this network. Nothing to free is success; ranges and arguments do not matter. */
export function del({ environment, config }: Call): void {
  using leases = openExistingLeases(readPlace(config))
  if (!leases?.free(ownerOf(environment))) leases?.free(legacyOwnerOf(environment))
}
