import { type Address, formatAddress } from "./address.ts"

/** The addresses from `first` to `last`, both included, of one family. */
export interface AddressRange {
  readonly first: Address
  readonly last: Address
}

export function inRange({ first, last }: AddressRange, address: Address): boolean {
  return address.family === first.family && first.value <= address.value && address.value <= last.value
}

/** Says if the two ranges share an address. */
export function rangesOverlap(a: AddressRange, b: AddressRange): boolean {
  return inRange(a, b.first) || inRange(b, a.first)
}

/** `10.1.2.1-10.1.2.254` */
export function formatRange({ first, last }: AddressRange): string {
  return `${formatAddress(first)}-${formatAddress(last)}`
}
