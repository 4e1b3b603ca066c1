import { type Address, addressBytes } from "../../lib/ip/address.ts"
import { AF_INET, AF_INET6, AF_PACKET } from "../../lib/sys/socket-kinds.ts"

/** Returns the struct sockaddr_in or sockaddr_in6; `index` is that of the link on which a link-local address is meant. */
export function ipAddress(address: Address, port: number, index = 0): Uint8Array {
  const family6 = address.family === 6
  const bytes = new Uint8Array(family6 ? 28 : 16)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family6 ? AF_INET6 : AF_INET, true)
  view.setUint16(2, port)
  bytes.set(addressBytes(address), family6 ? 8 : 4)
  if (family6) view.setUint32(24, index, true)
  return bytes
}

/** Returns the struct sockaddr_ll of everybody on a link. */
export function everybodyOn(index: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(20)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, AF_PACKET, true)
  view.setUint16(2, protocol)
  view.setInt32(4, index, true)
  bytes[11] = 6
  bytes.fill(0xff, 12, 18)
  return bytes
}
