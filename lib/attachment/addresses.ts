import type { Delegate } from "../cni/delegate.ts"
import { CniError, code } from "../cni/errors.ts"
import type { IpConfig, Result } from "../cni/result.ts"
import { formatPrefix } from "../ip/prefix.ts"
import type { Undo } from "../net/undo.ts"

/** Says if one of the addresses is an IPv6 one. */
export function hasIPv6(ips: readonly IpConfig[]): boolean {
  return ips.some(({ address }) => address.address.family === 6)
}

/**
 * Takes addresses from the IPAM plugin called `type`, for an interface that was made just now: leases that IPAM still holds for this
 * attachment are left from an ADD that was killed, so they are released and IPAM asked once more. No address at all is an error, and so is
 * one that stands for all: rules of the pod would be for every packet.
 */
export function takeAddresses(ipam: Delegate, type: string, undo: Undo): Result {
  const result = addOrReplace(ipam)
  undo.add(() => ipam.del())
  if (result.ips.length === 0) {
    throw new CniError(code.delegate, "IPAM plugin returned missing IP config", `"ipam.type" is ${type}`)
  }
  const all = result.ips.find(({ address: { address, length } }) => length === 0 || address.value === 0n)
  if (all) {
    const problem = `IPAM plugin returned ${formatPrefix(all.address)}, which is not one pod's address`
    throw new CniError(code.delegate, problem, `"ipam.type" is ${type}`)
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
