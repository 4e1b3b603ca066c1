import type { Header } from "../attribute.ts"
import { nameOf } from "../print.ts"
import type { Writer } from "../writer.ts"

/** NFNL_SUBSYS_* of linux/netfilter/nfnetlink.h: the part of netfilter that a message is for. */
export const SUBSYSTEM = { CTNETLINK: 1, NFTABLES: 10 } as const

/** NFNL_MSG_BATCH_*: the messages around those of one transaction. */
export const BATCH = { BEGIN: 16, END: 17 } as const

/** NFPROTO_* of linux/netfilter.h, by their names in `nft`. */
const families = { unspec: 0, inet: 1, ip: 2, bridge: 7, ip6: 10 } as const

/** The family of a table: inet is IPv4 and IPv6. */
export type NetfilterFamily = Exclude<keyof typeof families, "unspec">

/** Returns a message's type on a netfilter socket. */
export function typeOf(subsystem: number, message: number): number {
  return (subsystem << 8) | message
}

/** Writes struct nfgenmsg: family, version, resource id in network order. */
export function writeHeader(writer: Writer, family: keyof typeof families, resource = 0): Writer {
  return writer.u8(families[family]).u8(0).be16(resource)
}

/** Returns the family of a message about IP; undefined for another's. */
export function familyIn([number]: Uint8Array): "ip" | "ip6" | "inet" | undefined {
  return (["ip", "ip6", "inet"] as const).find((name) => families[name] === number)
}

/** Bytes of struct nfgenmsg, before the attributes. */
export const HEADER = 4

/** struct nfgenmsg, as it is printed. */
export const nfnetlinkHeader: Header = {
  size: HEADER,
  print: (view) => ({ family: nameOf(families, view.getUint8(0)) }),
}
