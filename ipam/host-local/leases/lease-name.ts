import { type Address, formatAddress, parseAddress } from "../../../lib/ip/address.ts"

/** The name of a lease file: the canonical text of the address that it leases. */
export type LeaseName = string

const QUAD = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/

/** Returns true if a file of that name would be a lease. */
export function isLeaseName(name: string): boolean {
  if (QUAD.test(name)) return true
  const address = name.includes(":") ? parseAddress(name) : undefined
  return address !== undefined && formatAddress(address) === name
}

/** Returns the addresses that lease files of those names lease. */
export function addressesNamed(names: readonly LeaseName[]): Address[] {
  const addresses: Address[] = []
  for (const name of names) {
    const address = parseAddress(name)
    if (address) addresses.push(address)
  }
  return addresses
}
