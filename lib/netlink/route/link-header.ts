import { type Header, WireError, wordAt } from "../attribute.ts"
import type { Message } from "../message.ts"
import { flagNames, nameOf } from "../print.ts"
import type { Writer } from "../writer.ts"
import { AF, familyNames } from "./rtm.ts"

export const IFF_UP = 0x1
export const IFF_PROMISC = 0x100
export const IFF_ALLMULTI = 0x200
export const IFF_LOWER_UP = 0x10000

export interface LinkHeader {
  readonly family?: number
  readonly index?: number
  readonly flags?: number
  readonly change?: number
}

/** Writes struct ifinfomsg. */
export function writeHeader(
  writer: Writer,
  { family = AF.UNSPEC, index = 0, flags = 0, change = 0 }: LinkHeader,
): Writer {
  return writer.u32x4(family, index, flags, change)
}

/** The length of struct ifinfomsg. */
export const HEADER = 16

/** Reads the struct ifinfomsg of a message. Throws WireError. */
export function headerOf({ payload }: Message): { readonly index: number; readonly flags: number } {
  if (payload.length < HEADER) throw new WireError("link message cut short", payload.byteOffset)
  return { index: wordAt(payload, 4), flags: wordAt(payload, 8) }
}

/** IFF_* as `ip` calls them. */
const flagsOfLink = {
  UP: IFF_UP,
  BROADCAST: 0x2,
  LOOPBACK: 0x8,
  POINTOPOINT: 0x10,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: IFF_PROMISC,
  ALLMULTI: IFF_ALLMULTI,
  MASTER: 0x400,
  SLAVE: 0x800,
  MULTICAST: 0x1000,
  DYNAMIC: 0x8000,
  LOWER_UP: IFF_LOWER_UP,
  DORMANT: 0x20000,
} as const

/** struct ifinfomsg, as it is printed. */
export const linkHeader: Header = {
  size: HEADER,
  print: (view) => ({
    family: nameOf(familyNames, view.getUint8(0)),
    index: view.getInt32(4, true),
    flags: flagNames(flagsOfLink, view.getUint32(8, true)),
    change: flagNames(flagsOfLink, view.getUint32(12, true)),
  }),
}
