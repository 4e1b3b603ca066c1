import { viewOf } from "../../../lib/netlink/attribute.ts"
import * as extension from "../../../lib/netlink/netfilter/xtables/extension.ts"
import { PROTOCOL_NAMES } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import { sameBytes } from "../../../lib/sys/bytes.ts"
import type { Packet, Truth } from "./packet.ts"

/** A match or target of xtables, as nf_tables carries it. */
interface Extension {
  readonly name?: string | undefined
  readonly revision?: number | undefined
  readonly info?: Uint8Array | undefined
}

/** Says if the packet meets the match (`-m NAME`). */
export function meets({ name = "", info = new Uint8Array() }: Extension, packet: Packet, mark: Truth): Truth {
  if (name === "comment") return true
  if (name === "conntrack") return meetsConntrack(info, packet)
  if (name === "physdev") return meetsPhysdev(info, packet)
  if (name === "addrtype") return sameBytes(info, extension.toThisHost().write(true)) ? packet.toThisHost : "maybe"
  if (name === "mark") return mark === false ? meetsUnmarked(info) : "maybe"
  const ofProtocol = packet.protocol === undefined ? undefined : PROTOCOL_NAMES[packet.protocol]
  if (name === "multiport") return meetsPorts(info, packet)
  if (ofProtocol !== undefined && ["tcp", "udp", "sctp"].includes(name) && name !== ofProtocol) return false
  return name === ofProtocol && name !== "sctp" ? meetsPort(info, packet) : "maybe"
}

/** XT_CONNTRACK_STATE, and in the mask of states those that packets here can be in. */
const [BY_STATE, ESTABLISHED, NEW, DNAT] = [1, 2, 8, 0x80]

/** struct xt_conntrack_mtinfo2 and 3: match_flags, invert_flags, state_mask behind 146 bytes. */
function meetsConntrack(info: Uint8Array, { state, redirected }: Packet): Truth {
  if (info.length < 154) return "maybe"
  const view = viewOf(info)
  const [matches, inverts, mask] = [146, 148, 150].map((at) => view.getUint16(at, true)) as [number, number, number]
  if (matches !== BY_STATE) return "maybe"
  const hit = (mask & ((state === "new" ? NEW : ESTABLISHED) | (redirected ? DNAT : 0))) !== 0
  return inverts & BY_STATE ? !hit : hit
}

/** struct xt_mark_mtinfo1: mark, mask, invert. */
function meetsUnmarked(info: Uint8Array): Truth {
  const asksForNone = info.subarray(0, 4).every((byte) => byte === 0)
  return info[8] === 0 ? asksForNone : !asksForNone
}

/** XT_PHYSDEV_OP_BRIDGED */
const BRIDGED = 0x04

/** struct xt_physdev_info: invert and bitmask behind 64 bytes. */
function meetsPhysdev(info: Uint8Array, { bridged }: Packet): Truth {
  if (info[65] !== BRIDGED) return bridged ? "maybe" : false
  return (info[64] ?? 0) & BRIDGED ? !bridged : bridged
}

/** struct xt_tcp, struct xt_udp: source ports, destination ports, then what else is asked, in the last byte inverted. */
function meetsPort(info: Uint8Array, { destinationPort }: Packet): Truth {
  const view = viewOf(info)
  const [firstSource, lastSource, first, last] = [0, 2, 4, 6].map((at) => view.getUint16(at, true))
  if (firstSource !== 0 || lastSource !== 0xffff || info.subarray(8).some((byte) => byte !== 0)) return "maybe"
  if (first === 0 && last === 0xffff) return true
  if (destinationPort === undefined || first === undefined || last === undefined) return "maybe"
  return first <= destinationPort && destinationPort <= last
}

function meetsPorts(info: Uint8Array, { destinationPort }: Packet): Truth {
  const { read, write } = extension.destinationPorts
  const ports = read(info)
  if (destinationPort === undefined || !ports || !sameBytes(write(ports), info)) return "maybe"
  return ports.includes(destinationPort)
}

/** A target's effect on the packet (`-j NAME`): `continues` to the next rule, or ends its way through the chain. */
export type Effect = "continues" | "marks" | "accept" | "drop" | "redirects" | "unknown"

const effects: Readonly<Record<string, Effect>> = {
  ACCEPT: "accept",
  DROP: "drop",
  REJECT: "drop",
  MASQUERADE: "accept",
  SNAT: "accept",
  DNAT: "redirects",
  REDIRECT: "redirects",
  MARK: "marks",
  CONNMARK: "marks",
}

const WITHOUT_VERDICT = ["LOG", "NFLOG", "TCPMSS", "CHECKSUM", "CLASSIFY", "TOS", "DSCP", "TTL", "HL", "TRACE", "SET"]

export function effectOf({ name = "" }: Extension): Effect {
  return effects[name] ?? (WITHOUT_VERDICT.includes(name) ? "continues" : "unknown")
}
