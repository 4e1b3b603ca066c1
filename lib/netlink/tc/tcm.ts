import { attributeSet, type Body, chosen, type Entries, text, u32, WireError } from "../attribute.ts"
import type { Message } from "../message.ts"
import { nameOf } from "../print.ts"
import { AF } from "../route/rtm.ts"
import type { Writer } from "../writer.ts"

/** The place of a qdisc or filter: struct tcmsg. */
export interface TcHeader {
  readonly link: number
  readonly handle?: number
  readonly parent?: number
  /** Of a filter: priority in the upper half, protocol in network order in the lower. */
  readonly info?: number
}

/** The length of struct tcmsg. */
const HEADER = 20

/** TC_H_*: the places of a link's qdiscs. */
export const PLACE = { ROOT: 0xffffffff, INGRESS: 0xfffffff1 } as const
const PLACE_NAMES = { none: 0, root: PLACE.ROOT, ingress: PLACE.INGRESS } as const
export const HANDLE = { FIRST: 0x10000, INGRESS: 0xffff0000 } as const

/** Returns TCA_* from linux/rtnetlink.h; `options` are the sets of TCA_OPTIONS by kind. */
function attributesWith(options: Readonly<Record<string, Entries>>) {
  return attributeSet({
    kind: [1, text, "TCA_KIND"],
    options: [2, chosen("TCA_KIND", options), "TCA_OPTIONS"],
  })
}

export const tc = attributesWith({})

/**
 * Returns the body of a message on a qdisc or filter. `options` are the sets of TCA_OPTIONS by kind; `printInfo` prints the part of the
 * header that only filters have.
 */
export function bodyWith(options: Readonly<Record<string, Entries>>, printInfo = (_: DataView): object => ({})): Body {
  const print = (view: DataView) => ({
    index: view.getInt32(4, true),
    handle: printHandle(view.getUint32(8, true)),
    parent: printHandle(view.getUint32(12, true)),
    ...printInfo(view),
  })
  return { header: { size: HEADER, print }, attributes: attributesWith(options) }
}

/** Returns a handle as `tc` prints it: major and minor number in hex. */
function printHandle(handle: number): string {
  const name = nameOf(PLACE_NAMES, handle)
  if (typeof name === "string") return name
  const minor = handle & 0xffff
  return `${(handle >>> 16).toString(16)}:${minor === 0 ? "" : minor.toString(16)}`
}

export function writeHeader(writer: Writer, { link, handle = 0, parent = 0, info = 0 }: TcHeader): Writer {
  return writer.u8(AF.UNSPEC).u8(0).u16(0).u32(link).u32(handle).u32(parent).u32(info)
}

/** The attributes of a qdisc or filter in a message, beside its place. */
interface Decoded {
  readonly handle: number
  /** Of a filter, as in TcHeader. */
  readonly info: number
  readonly kind: string
  readonly options: Uint8Array
}

/** Returns what the message says of a qdisc or filter. Throws WireError. */
export function decode({ payload }: Message): Decoded {
  if (payload.length < HEADER) throw new WireError("traffic control message cut short", payload.byteOffset)
  const { kind = "", options = NOTHING } = tc.read(payload, HEADER)
  return { handle: u32.read(payload, 8, HEADER), info: u32.read(payload, 16, HEADER), kind, options }
}

const NOTHING = new Uint8Array()
