import { type Address, formatAddress } from "../../ip/address.ts"
import type { Mac } from "../../ip/mac.ts"
import { address, attributeSet, type Body, mac, sized } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { KernelError } from "../kernel-error.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nameOf } from "../print.ts"
import type { Writer } from "../writer.ts"
import { AF, afOf, familyNames, RTM } from "./rtm.ts"

/** NDA_* from linux/neighbour.h. */
const attributes = attributeSet({ destination: [1, address, "NDA_DST"], mac: [2, mac, "NDA_LLADDR"] })

/** NUD_*: an address that the kernel verifies once it is used, or at once. */
const [STALE, PROBE] = [0x04, 0x10]
/** Those of an entry that has a hardware address. */
const VALID = 0xde

/** The length of struct ndmsg. */
const HEADER = 12

/** An RTM_DELNEIGH and its like: struct ndmsg, then attributes. */
export const neighbourBody: Body = {
  header: {
    size: HEADER,
    print: (view) => ({ family: nameOf(familyNames, view.getUint8(0)), index: view.getInt32(4, true) }),
  },
  attributes,
}

/** Returns the addresses of the neighbours, on any link, of which the kernel knows where they are. */
export function listNeighbours(rtnetlink: Conversation): Address[] {
  const request: Request = {
    asked: "list neighbours",
    type: RTM.GETNEIGH,
    write: (writer) => writeHeader(writer, AF.UNSPEC, 0, 0),
  }
  return rtnetlink.dump(request, ({ type, payload }) => {
    if (type !== RTM.NEWNEIGH) return undefined
    const isValid = (sized(payload, HEADER).getUint16(8, true) & VALID) !== 0
    return isValid ? attributes.read(payload, HEADER).destination : undefined
  }).values
}

/**
 * Introduces a neighbour to the kernel, which then need not ask everybody on the link who has the address. One of IPv4 it asks at once, so that
 * the neighbour comes to know the asking address as well; one of IPv6 it would ask from its link-local address. What the kernel knows stays, and
 * if it takes no entry, as without room for more, it resolves the address as ever.
 */
export function introduceNeighbour(rtnetlink: Conversation, index: number, neighbour: Address, at: Mac): void {
  try {
    rtnetlink.execute({
      asked: `introduce the neighbour ${formatAddress(neighbour)}`,
      type: RTM.NEWNEIGH,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      write: (writer) => {
        writeHeader(writer, afOf(neighbour.family), index, neighbour.family === 4 ? PROBE : STALE)
        attributes.write(writer, { destination: neighbour, mac: at })
      },
    })
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

/** Removes the neighbour entry of an address on a link, if there is one. */
export function forgetNeighbour(rtnetlink: Conversation, index: number, neighbour: Address): void {
  rtnetlink.remove({
    asked: `forget the neighbour ${formatAddress(neighbour)}`,
    type: RTM.DELNEIGH,
    write(writer) {
      writeHeader(writer, afOf(neighbour.family), index, 0)
      attributes.write(writer, { destination: neighbour })
    },
  })
}

/** Writes a struct ndmsg. */
function writeHeader(writer: Writer, family: number, index: number, state: number): void {
  writer.u32(family).u32(index).u32(state)
}
