import type { Delegate } from "../cni/delegate.ts"
import { CniError, code } from "../cni/errors.ts"
import type { IpConfig, Result } from "../cni/result.ts"
import type { Undo } from "../net/undo.ts"

/** Says if one of the addresses is an IPv6 one. */
export function hasIPv6(ips: readonly IpConfig[]): boolean {
  return ips.some(({ address }) => address.address.family === 6)
}

/**
 * Takes addresses from the IPAM plugin called `type`, for an interface that was made just now: leases that IPAM still holds for this
 * attachment are left from an ADD that was killed, so they are released and IPAM asked once more. No address at all is an error.
 */
export function takeAddresses(ipam: Delegate, type: string, undo: Undo): Result {
  const result = addOrReplace(ipam)
  undo.add(ipam.del)
  if (result.ips.length === 0) {
    throw new CniError(code.delegate, "IPAM plugin returned missing IP config", `"ipam.type" is ${type}`)
  }
  return result
}

function addOrReplace(ipam: Delegate): Result {
  try {
    return ipam.add()
  } catch (error) {
    if (!(error instanceof CniError && error.code === code.conflict)) throw error
    ipam.del()
    return ipam.add()
  }
}
