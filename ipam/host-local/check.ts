import { readPrevResult } from "../../lib/cni/config.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Address, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import type { HostLocalConfig } from "./config.ts"
import { holderOf, legacyHolderOf } from "./leases/lease-holder.ts"
import { openExistingLeases } from "./leases/lease-store.ts"
import { rangeOf } from "./range-set.ts"

/**
 * Throws unless the attachment holds a lease, and one for each address of its result that lies in our ranges. The Go plugin looks for any
 * lease. Addresses outside our ranges may be another plugin's.
 */
export function check({ environment, config }: Call, { place, sets }: HostLocalConfig): void {
  const given = readPrevResult(config)?.ips.map(({ address }) => address.address) ?? []
  const ours = given.filter((address) => sets.some((set) => rangeOf(set, address)))

  using leases = openExistingLeases(place)
  const own = leases?.addressesOf(holderOf(environment)) ?? []
  const held: readonly Address[] = own.length > 0 ? own : (leases?.addressesOf(legacyHolderOf(environment)) ?? [])
  if (held.length === 0) {
    throw changed(`host-local: Failed to find address added by container ${environment.containerId}`)
  }
  const lost = ours.find((address) => !held.some((lease) => sameAddress(lease, address)))
  if (lost) throw changed(`host-local: ${formatAddress(lost)} is not leased to container ${environment.containerId}`)
}
