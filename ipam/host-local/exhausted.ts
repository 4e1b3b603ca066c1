import { CniError, code } from "../../lib/cni/errors.ts"
import { formatSet, type RangeSet } from "./range-set.ts"

/** Returns the error for a set without a free address. */
export function exhausted(set: RangeSet, directory: string): CniError {
  return new CniError(
    code.noAddress,
    `no IP addresses available in range set: ${formatSet(set)}`,
    `enlarge the range, or free the leases in ${directory} whose containers are gone (GC does)`,
  )
}
