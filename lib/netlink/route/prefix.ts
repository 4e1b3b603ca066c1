import { type Address, bits } from "../../ip/address.ts"
import type { Prefix } from "../../ip/prefix.ts"
import { WireError } from "../attribute.ts"
import { afOf } from "./rtm.ts"

/**
 * Returns `address` with the length that struct ifaddrmsg and struct rtmsg, which begin alike, give for it. Throws WireError if they
 * disagree.
 */
export function prefixIn(payload: Uint8Array, address: Address): Prefix {
  const family = payload[0] ?? 0
  const length = payload[1] ?? 0
  if (family !== afOf(address.family))
    throw new WireError(`family ${family} of an IPv${address.family} address`, payload.byteOffset)
  if (length > bits(address.family)) throw new WireError(`prefix length ${length}`, payload.byteOffset + 1)
  return { address, length }
}
