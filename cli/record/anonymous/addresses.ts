import { type Address, formatAddress, parseAddress } from "../../../lib/ip/address.ts"
import { formatMac, type Mac, parseMac } from "../../../lib/ip/mac.ts"
import { formatPrefix, hasHostBits, networkOf, type Prefix } from "../../../lib/ip/prefix.ts"

/** Finds MAC addresses, and what may be addresses of IPv6 and IPv4, with a prefix length or without. */
const ADDRESS =
  /(?<![0-9a-f])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f:])|((?<![0-9a-f:])(?:[0-9a-f]{0,4}:){2,7}(?:\d+(?:\.\d+){3}|[0-9a-f]{0,4})(?![0-9a-f:])|(?<![\d.])\d+(?:\.\d+){3}(?!\d|\.\d))(?:\/(\d{1,3})(?!\d))?/gi

/** The first networks that stand for others: 10.1.0.0/16 and fd00:0:0:1::/64. */
const FIRST_IPV4 = 0x0a01n
const FIRST_IPV6 = 0xfd00_0000_0000_0001n
/** The first of the numbers that stand for an interface's part of an IPv6 address; smaller ones are people's own and stay. */
const FIRST_IDENTIFIER = 0x1_0000_0001n
const LOW64 = (1n << 64n) - 1n
const FIRST_MAC = 0x02_00_00_00_00_01n

/**
 * Other addresses for those of a recording, the same for the same. Networks hold afterwards what they held before: of an IPv4 address the
 * first half is replaced, of an IPv6 address the first 64 bits, and the rest if it is no small number.
 */
export class Addresses {
  readonly #ipv4 = new Numbering(FIRST_IPV4)
  readonly #ipv6 = new Numbering(FIRST_IPV6)
  readonly #identifiers = new Numbering(FIRST_IDENTIFIER)
  readonly #macs = new Numbering(FIRST_MAC)

  /** Learns which addresses are in the text, so that none of them comes to stand for another. */
  learn(text: string): void {
    for (const match of text.matchAll(ADDRESS)) this.#inPlaceOf(match, "learn")
  }

  /** Returns the text with others in place of its addresses, and with what `replaceRest` makes of the text between them. */
  replace(text: string, replaceRest = (rest: string) => rest): string {
    let [replaced, end] = ["", 0]
    for (const match of text.matchAll(ADDRESS)) {
      replaced += replaceRest(text.slice(end, match.index)) + this.#inPlaceOf(match, "replace")
      end = match.index + match[0].length
    }
    return replaced + replaceRest(text.slice(end))
  }

  #inPlaceOf([found, _separator, address, length = "-1"]: RegExpExecArray, action: "learn" | "replace"): string {
    if (address === undefined) return this.#mac(action, found)
    const parsed = parseAddress(address)
    return parsed ? this.#address(action, { address: parsed, length: Number(length) }) : found
  }

  #mac(action: "learn" | "replace", text: string): string {
    const mac = parseMac(text)
    return mac ? formatMac(this.#otherMac(action, mac)) : text
  }

  #otherMac(action: "learn" | "replace", mac: Mac): Mac {
    const value = mac.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    if (value === 0n || value === 0xffff_ffff_ffffn) return mac
    const other = this.#macs[action](value)
    return Uint8Array.from({ length: 6 }, (_, at) => Number((other >> BigInt(40 - 8 * at)) & 0xffn))
  }

  #address(action: "learn" | "replace", prefix: Prefix): string {
    const address = this.#other(action, prefix.address)
    if (prefix.length < 0) return formatAddress(address)
    const other = { address, length: prefix.length }
    return formatPrefix(hasHostBits(prefix) ? other : networkOf(other))
  }

  #other(action: "learn" | "replace", { family, value }: Address): Address {
    if (family === 4) {
      const isSpecial = value >> 24n === 0n || value >> 24n === 127n || value >> 28n >= 14n || value >> 16n === 0xa9fen
      return { family, value: isSpecial ? value : (this.#ipv4[action](value >> 16n) << 16n) | (value & 0xffffn) }
    }
    if (value >> 32n === 0n || value >> 120n === 0xffn) return { family, value }
    const network = value >> 64n
    const isLinkLocal = network >> 54n === 0x3fan
    return {
      family,
      value: ((isLinkLocal ? network : this.#ipv6[action](network)) << 64n) | this.#identifier(action, value & LOW64),
    }
  }

  /** Returns another number for the part of the address that names an interface, made of its MAC address or by chance. */
  #identifier(action: "learn" | "replace", value: bigint): bigint {
    if (value < FIRST_IDENTIFIER) return value
    if (((value >> 24n) & 0xffffn) !== 0xfffen) return this.#identifiers[action](value)
    const flipped = value ^ (1n << 57n)
    const mac = ((flipped >> 40n) << 24n) | (flipped & 0xffffffn)
    const other = this.#macs[action](mac)
    return (((other >> 24n) << 40n) | (0xfffen << 24n) | (other & 0xffffffn)) ^ (1n << 57n)
  }
}

/** Numbers that stand for others, in the order in which those come. */
class Numbering {
  readonly #originals = new Set<bigint>()
  readonly #others = new Map<bigint, bigint>()
  #next: bigint

  constructor(first: bigint) {
    this.#next = first
  }

  learn(original: bigint): bigint {
    this.#originals.add(original)
    return original
  }

  replace(original: bigint): bigint {
    const known = this.#others.get(original)
    if (known !== undefined) return known
    while (this.#originals.has(this.#next)) this.#next++
    this.#others.set(original, this.#next)
    return this.#next++
  }
}
