import { attributeSet, type Body, u32 } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { nameOf } from "../print.ts"
import { AF, familyNames, RTM } from "./rtm.ts"

/** NETNSA_* from linux/net_namespace.h. */
const attributes = attributeSet({ id: [1, u32, "NETNSA_NSID"], fd: [3, u32, "NETNSA_FD"] })

const HEADER = 4 // struct rtgenmsg and its padding
/** Also what the kernel calls a namespace that is about to vanish. */
export const NOT_ASSIGNED = 0xffffffff

/** An RTM_NEWNSID and its like. */
export const namespaceIdBody: Body = {
  header: { size: HEADER, print: (view) => ({ family: nameOf(familyNames, view.getUint8(0)) }) },
  attributes,
}

/** Returns the id by which the kernel's links name the namespace behind an open file descriptor, or undefined if it has none there. */
export function readNamespaceId(rtnetlink: Conversation, fd: number): number | undefined {
  const request: Request = {
    asked: "read the id of a network namespace",
    type: RTM.GETNSID,
    write: (writer) => attributes.write(writer.u8(AF.UNSPEC).u8(0).u16(0), { fd }),
  }
  const id = rtnetlink.get(request, ({ payload }) => attributes.read(payload, HEADER).id ?? NOT_ASSIGNED)
  return id === NOT_ASSIGNED ? undefined : id
}
