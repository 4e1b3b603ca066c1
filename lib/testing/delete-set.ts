import { attributeSet, text } from "../netlink/attribute.ts"
import type { Request } from "../netlink/conversation.ts"
import { SUBSYSTEM, typeOf, writeHeader } from "../netlink/netfilter/nfnetlink.ts"
import type { NamedSet } from "../netlink/netfilter/set.ts"

/** NFT_MSG_DELSET, which the product does not send. */
export const DELSET = 11

const attributes = attributeSet({ table: [1, text, "NFTA_SET_TABLE"], name: [2, text, "NFTA_SET_NAME"] })

/** Returns a change for transact() that deletes the set; ENOENT if there is none. */
export function deleteSet({ table: { family, name: table }, name }: NamedSet): Request {
  return {
    asked: `delete set ${name}`,
    type: typeOf(SUBSYSTEM.NFTABLES, DELSET),
    write: (writer) => attributes.write(writeHeader(writer, family), { table, name }),
  }
}
