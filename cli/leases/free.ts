import { type Address, formatAddress } from "../../lib/ip/address.ts"
import { type AddressRange, inRange } from "../../lib/ip/range.ts"

/** Returns what is left of the range, in order: `10.1.0.5-10.1.0.9`, or the address if it stands alone. */
export function freeSpans(range: AddressRange, taken: readonly Address[]): string[] {
  const { family } = range.first
  const values = taken.filter((address) => inRange(range, address)).map(({ value }) => value)
  const sorted = [...new Set(values)].sort((a, b) => (a < b ? -1 : 1))
  const spans: string[] = []
  let from = range.first.value
  for (const value of [...sorted, range.last.value + 1n]) {
    if (value > from) spans.push(formatSpan(from, value - 1n))
    from = value + 1n
  }
  return spans

  function formatSpan(first: bigint, last: bigint): string {
    const [start, end] = [first, last].map((value) => formatAddress({ family, value }))
    return first === last ? `${start}` : `${start}-${end}`
  }
}
