import { WireError } from "../attribute.ts"
import type { Message } from "../message.ts"
import type { Writer } from "../writer.ts"
import { AF } from "./rtm.ts"

export interface LinkHeader {
  readonly family?: number
  readonly index?: number
  readonly flags?: number
  readonly change?: number
}

/** struct ifinfomsg */
export function writeHeader(
  writer: Writer,
  { family = AF.UNSPEC, index = 0, flags = 0, change = 0 }: LinkHeader,
): Writer {
  return writer.u8(family).u8(0).u16(0).u32(index).u32(flags).u32(change)
}

/** The length of struct ifinfomsg. */
export const HEADER = 16

export function headerOf({ payload }: Message): DataView {
  if (payload.length < HEADER) throw new WireError("link message cut short", payload.byteOffset)
  return new DataView(payload.buffer, payload.byteOffset, HEADER)
}
