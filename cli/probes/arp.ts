import { type Address, addressBytes, addressFromBytes } from "../../lib/ip/address.ts"
import type { Mac } from "../../lib/ip/mac.ts"

export const ETH_P_ARP = 0x0806

/** Ethernet, IPv4, and the lengths of their addresses. */
const KIND = [0, 1, 0x08, 0x00, 6, 4]
const [REQUEST, REPLY] = [1, 2]
const LENGTH = 28

/** An interface's address, of hardware and of IPv4. */
export interface Station {
  readonly mac: Mac
  readonly address: Address
}

/** Returns the packet (RFC 826) that asks who has `wanted`. */
export function encodeArpRequest({ mac, address }: Station, wanted: Address): Uint8Array {
  const packet = new Uint8Array(LENGTH)
  packet.set([...KIND, 0, REQUEST])
  packet.set(mac.subarray(0, 6), 8)
  packet.set(addressBytes(address), 14)
  packet.set(addressBytes(wanted), 24)
  return packet
}

/** Returns who answers; undefined if the packet is no reply. */
export function decodeArpReply(packet: Uint8Array): Station | undefined {
  if (packet.length < LENGTH || KIND.some((byte, at) => packet[at] !== byte)) return undefined
  if (packet[6] !== 0 || packet[7] !== REPLY) return undefined
  const address = addressFromBytes(packet.subarray(14, 18))
  return address && { mac: packet.slice(8, 14), address }
}
