import { attributeSet, u32 } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { AF, RTM } from "./rtm.ts"

/** NETNSA_* from linux/net_namespace.h. */
const attributes = attributeSet({ id: [1, u32], fd: [3, u32] })

const HEADER = 4 // struct rtgenmsg and its padding
const NOT_ASSIGNED = 0xffffffff

/** Returns the id by which the kernel's links name the namespace behind an open file descriptor, or undefined if it has none there. */
export function readNamespaceId(kernel: Conversation, fd: number): number | undefined {
  const { payload } = kernel.ask({
    asked: "read the id of a network namespace",
    type: RTM.GETNSID,
    write: (writer) => attributes.write(writer.u8(AF.UNSPEC).u8(0).u16(0), { fd }),
  })
  const { id = NOT_ASSIGNED } = attributes.read(payload.subarray(HEADER))
  return id === NOT_ASSIGNED ? undefined : id
}
