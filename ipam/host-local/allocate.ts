import { type Address, plus } from "../../lib/ip/address.ts"
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
export function allocate(
  set: RangeSet,
  last: Address | undefined,
  take: (address: Address) => boolean,
): Candidate | undefined {
  for (const { range, first, count } of stretches(set, last)) {
    for (let step = 0n; step < count; step++) {
      const address = plus(first, step)
      if (!isGateway(range, address) && take(address)) return { address, range }
    }
  }
  return undefined
}

interface Stretch {
  readonly range: LeaseRange
  readonly first: Address
  readonly count: bigint
}

/** Returns the set's addresses in the order of the walk: the range that holds `last` is cut in two after it. */
function stretches(set: RangeSet, last: Address | undefined): Stretch[] {
  const current = last && rangeOf(set, last)
  if (!last || !current) return set.map((range) => stretch(range, range.first, range.last))
  const at = set.indexOf(current)
  const others = [...set.slice(at + 1), ...set.slice(0, at)]
  return [
    stretch(current, plus(last, 1n), current.last),
    ...others.map((range) => stretch(range, range.first, range.last)),
    stretch(current, current.first, last),
  ]
}

function stretch(range: LeaseRange, first: Address, last: Address): Stretch {
  return { range, first, count: last.value - first.value + 1n }
}
