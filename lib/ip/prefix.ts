import { type Address, bits, type Family, formatAddress, parseAddress } from "./address.ts"

/** An address with a prefix length. Host bits are kept: `10.2.3.1/24` stays `.1`. */
export interface Prefix {
  readonly address: Address
  readonly length: number
}

/** The prefix that `text` writes (`10.1.2.3/24`), or undefined if it writes none; `::ffff:a.b.c.d/n` is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/")
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash))
  const digits = text.slice(slash + 1)
  if (!address || !/^\d+$/.test(digits)) return undefined
  const mapped = address.family === 4 && text.includes(":")
  const length = Number(digits)
  return mapped || length > bits(address.family) ? undefined : { address, length }
}

export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`
}

function hostMask({ address, length }: Prefix): bigint {
  return (1n << BigInt(bits(address.family) - length)) - 1n
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  const { address, length } = prefix
  return { address: { family: address.family, value: address.value & ~hostMask(prefix) }, length }
}

/** The address with every host bit set: the broadcast address in IPv4, the last address in IPv6. */
export function lastOf(prefix: Prefix): Address {
  return { family: prefix.address.family, value: prefix.address.value | hostMask(prefix) }
}

export function hasHostBits(prefix: Prefix): boolean {
  return (prefix.address.value & hostMask(prefix)) !== 0n
}

export function contains(prefix: Prefix, address: Address): boolean {
  return address.family === prefix.address.family && ((address.value ^ prefix.address.value) & ~hostMask(prefix)) === 0n
}

/** Says if the two networks share an address. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return contains(a, b.address) || contains(b, a.address)
}

export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && a.address.family === b.address.family && a.address.value === b.address.value
}

/** Says if it is `0.0.0.0/0` or `::/0`, host bits left aside. */
export function isDefault({ length }: Prefix): boolean {
  return length === 0
}

/** `0.0.0.0/0` or `::/0`. */
export function defaultPrefix(family: Family): Prefix {
  return { address: { family, value: 0n }, length: 0 }
}

/** The address alone: `10.1.2.3/32`, `fd00::1/128`. */
export function hostPrefix(address: Address): Prefix {
  return { address, length: bits(address.family) }
}

/** Returns the family of the prefixes; undefined if they are of both. */
export function onlyFamily([first, ...others]: readonly Prefix[]): Family | undefined {
  const family = first?.address.family
  return others.every(({ address }) => address.family === family) ? family : undefined
}
