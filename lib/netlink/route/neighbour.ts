import { type Address, formatAddress } from "../../ip/address.ts"
import { address, attributeSet, type Body } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { nameOf } from "../print.ts"
import { afOf, familyNames, RTM } from "./rtm.ts"

/** NDA_* from linux/neighbour.h. */
const attributes = attributeSet({ destination: [1, address, "NDA_DST"] })

/** An RTM_DELNEIGH and its like: struct ndmsg, then attributes. */
export const neighbourBody: Body = {
  header: {
    size: 12,
    print: (view) => ({ family: nameOf(familyNames, view.getUint8(0)), index: view.getInt32(4, true) }),
  },
  attributes,
}

/** Removes the neighbour entry of an address on a link, if there is one. */
export function forgetNeighbour(rtnetlink: Conversation, index: number, neighbour: Address): void {
  try {
    rtnetlink.execute({
      asked: `forget the neighbour ${formatAddress(neighbour)}`,
      type: RTM.DELNEIGH,
      write(writer) {
        writer.u8(afOf(neighbour.family)).u8(0).u16(0).u32(index).u16(0).u8(0).u8(0) // struct ndmsg
        attributes.write(writer, { destination: neighbour })
      },
    })
  } catch (error) {
    if (!refusedWith(error, "ENOENT")) throw error
  }
}
