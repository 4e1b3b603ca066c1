import type { Address } from "../../lib/ip/address.ts"
import { isGateway, type LeaseRange, type RangeSet, rangeOf } from "./range-set.ts"

/** An address with the range it comes from. */
export interface Candidate {
  readonly address: Address
  readonly range: LeaseRange
}

/**
 * Returns the first address of the set that `take` accepts; undefined if it accepts none. Offers each address once, round robin: from the one
 * after `last`, if `last` lies in the set, else from the set's first. Leaves out a range's own gateway, but not another range's, as the Go plugin does.
 */
export function allocate(set: RangeSet, last: Address | undefined, take: Take): Candidate | undefined {
  const current = last && rangeOf(set, last)
  if (!last || !current) return firstOf(set, take)
  const at = set.indexOf(current)
  return (
    firstWithin(current, last.value + 1n, current.last.value, take) ??
    firstOf(set.slice(at + 1), take) ??
    firstOf(set.slice(0, at), take) ??
    firstWithin(current, current.first.value, last.value, take)
  )
}

type Take = (address: Address) => boolean

function firstOf(ranges: readonly LeaseRange[], take: Take): Candidate | undefined {
  for (const range of ranges) {
    const found = firstWithin(range, range.first.value, range.last.value, take)
    if (found) return found
  }
  return undefined
}

/** Returns the first address from `first` to `last`, a part of the range, that `take` accepts. */
function firstWithin(range: LeaseRange, first: bigint, last: bigint, take: Take): Candidate | undefined {
  const { family } = range.first
  for (let value = first; value <= last; value++) {
    const address = { family, value }
    if (!isGateway(range, address) && take(address)) return { address, range }
  }
  return undefined
}
