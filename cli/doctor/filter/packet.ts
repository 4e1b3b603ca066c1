import type { Address, Family } from "../../../lib/ip/address.ts"

/** A packet on its way through the node, as far as it is known: what is undefined may be anything. */
export interface Packet {
  readonly family: Family
  readonly fromInterface: string | undefined
  readonly toInterface: string | undefined
  readonly source: Address | undefined
  readonly destination: Address | undefined
  /** True if it is for one of the node's own addresses. */
  readonly toThisHost: boolean
  /** IPPROTO_* */
  readonly protocol: number | undefined
  readonly destinationPort: number | undefined
  readonly state: "new" | "established"
  /** True if its destination was changed: it comes by a host port. */
  readonly redirected: boolean
  /** True if it stays on its bridge, and netfilter sees it all the same (br_netfilter). */
  readonly bridged: boolean
}

/** A new packet of which nothing more is known. */
export const UNKNOWN: Packet = {
  family: 4,
  fromInterface: undefined,
  toInterface: undefined,
  source: undefined,
  destination: undefined,
  toThisHost: false,
  protocol: undefined,
  destinationPort: undefined,
  state: "new",
  redirected: false,
  bridged: false,
}

/** A statement about a packet: of one that is not known in whole some are neither true nor false. */
export type Truth = boolean | "maybe"

/** Returns true if all are. */
export function all(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false
  return truths.includes("maybe") ? "maybe" : true
}

export function not(truth: Truth): Truth {
  return truth === "maybe" ? truth : !truth
}
