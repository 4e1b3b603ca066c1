import { attributeSet, bytes, encode, sized, u32, viewOf } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nameOf } from "../print.ts"
import { RTM } from "../route/rtm.ts"
import { Writer } from "../writer.ts"
import { type Action, actions } from "./action.ts"
import { bodyWith, decode, HANDLE, type TcHeader, tc, writeHeader } from "./tcm.ts"

/** TCA_U32_* */
const u32Options = attributeSet({
  classId: [1, u32, "TCA_U32_CLASSID"],
  selector: [5, bytes, "TCA_U32_SEL"],
  action: [7, actions, "TCA_U32_ACT"],
})

/** An RTM_NEWTFILTER and its like. */
export const filterBody = bodyWith({ u32: u32Options }, (view) => ({
  pref: view.getUint16(18, true),
  protocol: nameOf(protocolNames, view.getUint16(16)),
}))

/** ETH_P_* as `tc` calls them. */
const protocolNames = { all: 0x0003, ip: 0x0800, ipv6: 0x86dd } as const

/** TC_U32_TERMINAL */
const TERMINAL = 1
/** struct tc_u32_sel, then one struct tc_u32_key: mask, value, two offsets. */
const SELECTOR_SIZE = 16
const KEY_SIZE = 16
/** Has no meaning on an ingress qdisc; the Go plugin's choice. */
const CLASS_ID = 0x10001

/** ETH_P_ALL in network order, and the priority under which these plugins keep their one filter. */
const ALL_PROTOCOLS = 0x0300
const PRIORITY = 1
const INFO = PRIORITY * 0x10000 + ALL_PROTOCOLS

/** A filter on what a link receives. */
export interface Filter {
  readonly kind: string
  readonly priority: number
  /** True if it selects every packet of every protocol. */
  readonly matchesAll: boolean
  /** Undefined for a filter without. */
  readonly action: Action | undefined
}

/** Applies `action` to all that the link receives. The link needs an ingress qdisc. Throws ENOENT if the kernel lacks the action. */
export function createFilter(rtnetlink: Conversation, link: number, action: Action): void {
  const options = action.kind === "redirect" ? redirectionTo(action.to) : optionsOf(action)
  rtnetlink.execute({
    asked: `put all that link ${link} receives through ${action.kind}`,
    type: RTM.NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => tc.write(writeHeader(writer, placeOf(link)), { kind: "u32", options }),
  })
}

function optionsOf(action: Action): Uint8Array {
  return encode(u32Options, { classId: CLASS_ID, selector: everything(), action })
}

/** The options of a redirection, which end with the link's index: they are encoded but once, when the heap image is made. */
const REDIRECTION = optionsOf({ kind: "redirect", to: 0 })

function redirectionTo(link: number): Uint8Array {
  const options = REDIRECTION.slice()
  viewOf(options).setUint32(options.length - 4, link, true)
  return options
}

/** Removes the filter that createFilter() made, if there is one. One of another kind in its place stays. */
export function removeFilter(rtnetlink: Conversation, link: number): void {
  try {
    rtnetlink.execute({
      asked: `remove the filter of link ${link}`,
      type: RTM.DELTFILTER,
      write: (writer) => tc.write(writeHeader(writer, placeOf(link)), { kind: "u32" }),
    })
  } catch (error) {
    if (!refusedWith(error, "ENOENT", "EINVAL", "ENODEV")) throw error
  }
}

function placeOf(link: number): TcHeader {
  return { link, parent: HANDLE.INGRESS, info: INFO }
}

function everything(): Uint8Array {
  const selector = new Writer()
    .u8(TERMINAL)
    .u8(0)
    .u8(1)
    .u8(0)
    .raw(new Uint8Array(SELECTOR_SIZE - 4))
  return selector.raw(new Uint8Array(KEY_SIZE)).bytes
}

/** Returns the filters on what the link receives, in the order in which the kernel applies them; none without an ingress qdisc. */
export function listFilters(rtnetlink: Conversation, link: number): Filter[] {
  const request: Request = {
    asked: `list the filters of link ${link}`,
    type: RTM.GETTFILTER,
    write: (writer) => void writeHeader(writer, { link, parent: HANDLE.INGRESS }),
  }
  return rtnetlink.dump(request, decodeListed).values
}

/** Returns the filter. Hash tables are listed too, without handle or with the handle of a table. */
function decodeListed(message: Message): Filter | undefined {
  const decoded = decode(message)
  return decoded.kind === "u32" && (decoded.handle & 0xfff) === 0 ? undefined : filterOf(decoded)
}

/** Returns the filter that an RTM_NEWTFILTER describes. Throws WireError. */
export function decodeFilter(message: Message): Filter {
  return filterOf(decode(message))
}

function filterOf({ kind, info, options }: ReturnType<typeof decode>): Filter {
  const { selector, action } = kind === "u32" ? u32Options.read(options) : {}
  return {
    kind,
    priority: info >>> 16,
    matchesAll: (info & 0xffff) === ALL_PROTOCOLS && selector !== undefined && selectsAll(selector),
    action,
  }
}

/** Returns true if the selector selects everything: by one key without a mask, or by none. */
function selectsAll(selector: Uint8Array): boolean {
  const keys = sized(selector, SELECTOR_SIZE).getUint8(2)
  if (keys > 1) return false
  return keys === 0 || sized(selector, SELECTOR_SIZE + KEY_SIZE).getUint32(SELECTOR_SIZE, true) === 0
}
