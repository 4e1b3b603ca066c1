import { type Address, addressBytes, addressFromBytes, type Family } from "../../lib/ip/address.ts"
import type { Mac } from "../../lib/ip/mac.ts"

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861).
const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const
const [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] = [135, 136]
const [SOURCE_LINK_ADDRESS, TARGET_LINK_ADDRESS] = [1, 2]

/** An echo request's own: what comes back in the reply. */
export interface Echo {
  readonly id: number
  readonly sequence: number
  /** The first bytes of what is sent along. */
  readonly nonce: Uint8Array
}

const HEADER = 8
const NONCE = 8

/** The bytes before an echo's payload: of IP without options, and of ICMP. */
export const ECHO_OVERHEAD = { 4: 20 + HEADER, 6: 40 + HEADER } as const

/** Returns an echo request with that many bytes of payload. The kernel fills in the checksum of ICMPv6. */
export function encodeEcho(family: Family, { id, sequence, nonce }: Echo, payload: number): Uint8Array {
  const packet = new Uint8Array(HEADER + Math.max(payload, NONCE))
  packet.set([ECHO[family].request, 0, 0, 0, id >> 8, id & 0xff, sequence >> 8, sequence & 0xff])
  packet.set(nonce.subarray(0, NONCE), HEADER)
  if (family === 4) new DataView(packet.buffer).setUint16(2, checksum(packet.subarray(0, HEADER + NONCE))) // the rest is zeros
  return packet
}

/** Returns what an echo reply brings back; undefined if the packet is none. Of IPv4 it begins with the header of IP. */
export function decodeEchoReply(family: Family, packet: Uint8Array): Echo | undefined {
  const message = family === 4 ? behindHeader(packet) : packet
  const [type, , , , id = 0, idLow = 0, sequence = 0, sequenceLow = 0] = message
  if (message.length < HEADER + NONCE || type !== ECHO[family].reply) return undefined
  const nonce = message.slice(HEADER, HEADER + NONCE)
  return { id: (id << 8) | idLow, sequence: (sequence << 8) | sequenceLow, nonce }
}

function behindHeader(packet: Uint8Array): Uint8Array {
  return packet.subarray(((packet[0] ?? 0) & 0x0f) * 4)
}

/** Returns the Internet checksum (RFC 1071). */
function checksum(packet: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < packet.length; at += 2) sum += ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** Returns the message that asks who has `wanted`; it goes to solicitedNode(). */
export function encodeSolicitation(wanted: Address, mac: Mac): Uint8Array {
  const packet = new Uint8Array(32)
  packet[0] = NEIGHBOUR_SOLICITATION
  packet.set(addressBytes(wanted), 8)
  packet.set([SOURCE_LINK_ADDRESS, 1], 24)
  packet.set(mac.subarray(0, 6), 26)
  return packet
}

/** Returns the multicast address that whoever has `wanted` listens to. */
export function solicitedNode({ value }: Address): Address {
  return { family: 6, value: (0xff0200000000000000000001ffn << 24n) | (value & 0xffffffn) }
}

/** Returns who advertises an address, and if it says so at which hardware address; undefined if the packet is no such message. */
export function decodeAdvertisement(packet: Uint8Array): { readonly address: Address; readonly mac?: Mac } | undefined {
  const address = packet[0] === NEIGHBOUR_ADVERTISEMENT ? addressFromBytes(packet.subarray(8, 24)) : undefined
  if (!address) return undefined
  for (let at = 24; at + 8 <= packet.length; ) {
    const [type, length = 0] = packet.subarray(at) // in units of 8 bytes
    if (type === TARGET_LINK_ADDRESS) return { address, mac: packet.slice(at + 2, at + 8) }
    if (length === 0) break
    at += 8 * length
  }
  return { address }
}
