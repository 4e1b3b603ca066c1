import { host } from "../sys/host.ts"

/** 4 or 6, as in IPv4 and IPv6. */
export type Family = 4 | 6

/** IPv4 before IPv6, the order in which everything is done for both. */
export const families = [4, 6] as const

/** One IP address: its family and its value as a number. Immutable. */
export interface Address {
  readonly family: Family
  readonly value: bigint
}

const MAPPED = 0xffffn << 32n
const MASK32 = 0xffffffffn

/** The width of an address in bits: 32 or 128. */
export function bits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/**
 * The address that `text` writes, or undefined if it writes none.
 * Dotted quads have no leading zeros, IPv6 has no zone, and `::ffff:a.b.c.d` is the IPv4 address in it.
 */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(":")) {
    const value = parseQuad(text)
    return value === undefined ? undefined : { family: 4, value }
  }
  const value = parseGroups(text)
  if (value === undefined) return undefined
  return value >> 32n === MAPPED >> 32n ? { family: 4, value: value & MASK32 } : { family: 6, value }
}

function parseQuad(text: string): bigint | undefined {
  const value = host.parseIPv4(text)
  return value < 0 ? undefined : BigInt(value)
}

function parseGroups(text: string): bigint | undefined {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const head = groupsOf(halves[0] ?? "", halves.length === 1)
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : []
  if (!head || !tail) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)
}

/** The 16-bit groups of one side of `::`; `last` says that a dotted quad may end it. */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === "") return []
  const groups: number[] = []
  const parts = text.split(":")
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const quad = last && index === parts.length - 1 ? parseQuad(part) : undefined
    if (quad === undefined) return undefined
    groups.push(Number(quad >> 16n), Number(quad & 0xffffn))
  }
  return groups
}

/** The one canonical text of an address: dotted quad, or RFC 5952 in lower case. */
export function formatAddress({ family, value }: Address): string {
  return family === 4 ? host.formatIPv4(Number(value)) : formatGroups(value)
}

function formatGroups(value: bigint): string {
  const groups: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn))
  const { start, length } = longestZeroRun(groups)
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":")
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index - length + 1, length }
  }
  return best
}

/** The address in network byte order: 4 or 16 bytes. */
export function addressBytes({ family, value }: Address): Uint8Array {
  const bytes = new Uint8Array(bits(family) / 8)
  if (family === 4) putNumber(bytes, 0, Number(value))
  else
    for (let at = 0, shift = 96n; at < 16; at += 4, shift -= 32n) putNumber(bytes, at, Number((value >> shift) & WORD))
  return bytes
}

const WORD = 0xffffffffn

function putNumber(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = number >>> 24
  bytes[at + 1] = number >>> 16
  bytes[at + 2] = number >>> 8
  bytes[at + 3] = number
}

/** The address that 4 or 16 bytes in network byte order spell, from `start` up to `end`; undefined for any other number of bytes. */
export function addressFromBytes(bytes: Uint8Array, start = 0, end = bytes.length): Address | undefined {
  if (end - start === 4) return { family: 4, value: BigInt(numberAt(bytes, start)) }
  if (end - start !== 16) return undefined
  let value = 0n
  for (let at = start; at < end; at += 4) value = (value << 32n) | BigInt(numberAt(bytes, at))
  return { family: 6, value }
}

function numberAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)
  return (high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value
}

/** The address `count` after `address`; after the last one of its family comes the first. */
export function plus({ family, value }: Address, count: bigint): Address {
  return { family, value: BigInt.asUintN(bits(family), value + count) }
}

/** Says if the address belongs to the host itself: 127.0.0.0/8 or ::1. */
export function isLoopback({ family, value }: Address): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n
}

/** Says if the address is of fe80::/10, which hold on one link alone. */
export function isLinkLocal({ family, value }: Address): boolean {
  return family === 6 && value >> 118n === 0xfe80n >> 6n
}
