import { host } from "./host.ts"

/** Says if the bytes are the same. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && host.hasBytes(one, 0, other)
}
