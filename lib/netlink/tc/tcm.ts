import { attributeSet, bytes, text, WireError } from "../attribute.ts"
import type { Message } from "../message.ts"
import { AF } from "../route/rtm.ts"
import type { Writer } from "../writer.ts"

/** Where a qdisc or filter is: struct tcmsg. */
export interface TcHeader {
  readonly link: number
  readonly handle?: number
  readonly parent?: number
  /** Of a filter: priority in the upper half, protocol in network order in the lower. */
  readonly info?: number
}

/** The length of struct tcmsg. */
const HEADER = 20

/** TC_H_*: the places of a link where qdiscs hang, and the handles that the qdiscs there have. */
export const PLACE = { ROOT: 0xffffffff, INGRESS: 0xfffffff1 } as const
export const HANDLE = { FIRST: 0x10000, INGRESS: 0xffff0000 } as const

/** TCA_* from linux/rtnetlink.h; what `options` means depends on the kind. */
export const tc = attributeSet({ kind: [1, text], options: [2, bytes] })

export function writeHeader(writer: Writer, { link, handle = 0, parent = 0, info = 0 }: TcHeader): Writer {
  return writer.u8(AF.UNSPEC).u8(0).u16(0).u32(link).u32(handle).u32(parent).u32(info)
}

/** The header and the attributes of a qdisc or filter. */
export function decode({ payload }: Message): { header: Required<TcHeader>; kind: string; options: Uint8Array } {
  if (payload.length < HEADER) throw new WireError("traffic control message cut short", payload.byteOffset)
  const view = new DataView(payload.buffer, payload.byteOffset, HEADER)
  const { kind = "", options = new Uint8Array() } = tc.read(payload.subarray(HEADER))
  const header = {
    link: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    info: view.getUint32(16, true),
  }
  return { header, kind, options }
}
