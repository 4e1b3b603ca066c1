import type { Address, Family } from "../../ip/address.ts"
import { lastOf, type Prefix } from "../../ip/prefix.ts"
import { address, attributeSet, type Body, printed, u32, WireError, wordAt } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { flagNames, nameOf } from "../print.ts"
import type { Writer } from "../writer.ts"
import { prefixIn } from "./prefix.ts"
import { AF, afOf, familyNames, RTM, scopeNames } from "./rtm.ts"

/** IFA_* from linux/if_addr.h. */
const attributes = attributeSet({
  address: [1, address, "IFA_ADDRESS"],
  local: [2, address, "IFA_LOCAL"],
  broadcast: [4, address, "IFA_BROADCAST"],
  flags: [8, printed(u32, (flags) => flagNames(flagsOfAddress, flags)), "IFA_FLAGS"],
})

const IFA_F_NODAD = 0x02
const IFA_F_DADFAILED = 0x08
const IFA_F_NOPREFIXROUTE = 0x200
const IFA_F_TENTATIVE = 0x40
const HEADER = 8 // struct ifaddrmsg: family, prefix length, flags, scope, index

/** IFA_F_* as `ip` calls them. */
const flagsOfAddress = {
  secondary: 0x1,
  nodad: IFA_F_NODAD,
  optimistic: 0x4,
  dadfailed: IFA_F_DADFAILED,
  home: 0x10,
  deprecated: 0x20,
  tentative: IFA_F_TENTATIVE,
  permanent: 0x80,
  mngtmpaddr: 0x100,
  noprefixroute: IFA_F_NOPREFIXROUTE,
} as const

/** An RTM_NEWADDR and its like. */
export const addressBody: Body = {
  header: {
    size: HEADER,
    print: (view) => ({
      family: nameOf(familyNames, view.getUint8(0)),
      prefixlen: view.getUint8(1),
      flags: flagNames(flagsOfAddress, view.getUint8(2)),
      scope: nameOf(scopeNames, view.getUint8(3)),
      index: view.getUint32(4, true),
    }),
  },
  attributes,
}

/** An address on a link. */
export interface LinkAddress {
  readonly prefix: Prefix
  readonly index: number
  /** Duplicate address detection has not ended: it cannot be used yet. */
  readonly tentative: boolean
  readonly duplicate: boolean
}

/** An address to add to a link. */
export interface NewAddress {
  readonly index: number
  /** For the error. */
  readonly link: string
  readonly prefix: Prefix
  /** IPv6: without duplicate address detection, so usable at once. */
  readonly skipDetection?: boolean
  /** The kernel makes no route to the address's network. */
  readonly withoutRoute?: boolean
}

/** Adds an address to a link, with the broadcast address of its network. Throws EEXIST if it is there. */
export function addAddress(rtnetlink: Conversation, wanted: NewAddress): void {
  const { index, link, prefix } = wanted
  rtnetlink.execute({
    asked: `add an address to ${link}`,
    type: RTM.NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write(writer) {
      writeHeader(writer, prefix, index)
      attributes.write(writer, {
        local: prefix.address,
        address: prefix.address,
        broadcast: broadcastOf(prefix),
        flags: flagsOf(wanted) || undefined,
      })
    },
  })
}

function writeHeader(writer: Writer, { address: { family }, length }: Prefix, index: number): void {
  writer.u32(afOf(family) | (length << 8)).u32(index)
}

function flagsOf({ skipDetection = false, withoutRoute = false }: NewAddress): number {
  return (skipDetection ? IFA_F_NODAD : 0) | (withoutRoute ? IFA_F_NOPREFIXROUTE : 0)
}

/** Returns the broadcast address, which IPv4 networks of more than two addresses have. */
function broadcastOf(prefix: Prefix): Address | undefined {
  return prefix.address.family === 4 && prefix.length < 31 ? lastOf(prefix) : undefined
}

/** Removes an address from a link; `link` is for the error. Throws EADDRNOTAVAIL if it is not there. */
export function removeAddress(rtnetlink: Conversation, index: number, link: string, prefix: Prefix): void {
  rtnetlink.execute({
    asked: `remove an address from ${link}`,
    type: RTM.DELADDR,
    write(writer) {
      writeHeader(writer, prefix, index)
      attributes.write(writer, { local: prefix.address, address: prefix.address })
    },
  })
}

/** Returns the addresses of one link, or of all; of both families unless one is given. */
export function listAddresses(rtnetlink: Conversation, index = 0, family?: Family): LinkAddress[] {
  const request: Request = {
    asked: index === 0 ? "list addresses" : `list addresses of link ${index}`,
    type: RTM.GETADDR,
    write: (writer) => void writer.u32(family ? afOf(family) : AF.UNSPEC).u32(index),
  }
  return rtnetlink.dump(request, (message) => {
    const found = message.type === RTM.NEWADDR ? decodeAddress(message) : undefined
    return index === 0 || found?.index === index ? found : undefined
  }).values
}

/** Returns the address that an RTM_NEWADDR describes. Throws WireError. */
export function decodeAddress({ payload }: Message): LinkAddress {
  if (payload.length < HEADER) throw new WireError("address message cut short", payload.byteOffset)
  const values = attributes.read(payload, HEADER)
  const own = values.local ?? values.address // IPv6 has no IFA_LOCAL; with IPv4 IFA_ADDRESS may be a peer's
  if (!own) throw new WireError("address message without an address", payload.byteOffset + HEADER)
  const flags = values.flags ?? payload[2] ?? 0
  return {
    prefix: prefixIn(payload, own),
    index: wordAt(payload, 4),
    tentative: (flags & IFA_F_TENTATIVE) !== 0 && (flags & IFA_F_DADFAILED) === 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
  }
}
