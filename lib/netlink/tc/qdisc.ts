import { attributeSet, type Kind, sized, text, u64 } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL } from "../message.ts"
import { RTM } from "../route/rtm.ts"
import { RATE_AT, RATE_SIZE, rate64, writeRate } from "./rate.ts"
import { bodyWith, decode, HANDLE, PLACE, type TcHeader, tc, writeHeader } from "./tcm.ts"

/** A token bucket: it delays packets that exceed the rate, and drops those that exceed the queue. */
export interface TokenBucket {
  /** Bytes per second, below 2^64. */
  readonly rate: number
  /** The time the bucket takes to fill, in ticks of the packet scheduler, of 64 ns; 32 bits. */
  readonly buffer: number
  /** The longest queue, in bytes; 32 bits. */
  readonly limit: number
}

/** struct tc_tbf_qopt: rate, peak rate (none), limit, buffer, mtu (of the peak rate). */
const parameters: Kind<TokenBucket> = {
  write: (writer, { rate, buffer, limit }) => void writeRate(writeRate(writer, rate), 0).u32(limit).u32(buffer).u32(0),
  read(bytes, start, end) {
    const view = sized(bytes.subarray(start, end), 2 * RATE_SIZE + 12)
    return {
      rate: view.getUint32(RATE_AT, true),
      limit: view.getUint32(2 * RATE_SIZE, true),
      buffer: view.getUint32(2 * RATE_SIZE + 4, true),
    }
  },
}

/** TCA_TBF_* */
const tbf = attributeSet({ parameters: [1, parameters, "TCA_TBF_PARMS"], rate64: [4, u64, "TCA_TBF_RATE64"] })

/** An RTM_NEWQDISC and its like. */
export const qdiscBody = bodyWith({ tbf })

/** An RTM_NEWQDISC of a token bucket, whose options are written where they belong. */
const tbfQdisc = attributeSet({
  kind: [1, text, "TCA_KIND"],
  options: [2, { write: tbf.write, read: tbf.read }, "TCA_OPTIONS"],
})

/** A qdisc as the kernel has it. */
export interface Qdisc {
  readonly kind: string
  readonly handle: number
  /** Set for kind `tbf`. */
  readonly tokenBucket: TokenBucket | undefined
}

export type Place = keyof typeof PLACE

/** Returns the qdisc at that place of the link; undefined if there is none or the kernel's default one. */
export function readQdisc(rtnetlink: Conversation, link: number, place: Place): Qdisc | undefined {
  const qdisc = answered(rtnetlink, {
    asked: `read the ${place.toLowerCase()} qdisc of link ${link}`,
    type: RTM.GETQDISC,
    flags: NLM_F_ECHO, // without it older kernels send the answer to multicast listeners only
    write: (writer) => void writeHeader(writer, { link, parent: PLACE[place] }),
  })
  return qdisc?.handle === 0 ? undefined : qdisc
}

function answered(rtnetlink: Conversation, request: Request): Qdisc | undefined {
  try {
    return rtnetlink.tryGet(request, decodeQdisc)
  } catch (error) {
    if (refusedWith(error, "ENOENT", "ENODEV")) return undefined
    throw error
  }
}

/** Returns the qdisc that an RTM_NEWQDISC describes. Throws WireError. */
export function decodeQdisc(message: Message): Qdisc {
  const { handle, kind, options } = decode(message)
  return { kind, handle, tokenBucket: kind === "tbf" ? decodeTokenBucket(options) : undefined }
}

function decodeTokenBucket(options: Uint8Array): TokenBucket | undefined {
  const values = tbf.read(options)
  if (!values.parameters || values.rate64 === undefined) return values.parameters
  return { ...values.parameters, rate: Number(values.rate64) }
}

/** Makes this token bucket the link's root qdisc, or changes one to it. Throws EEXIST if another qdisc is there. */
export function ensureTokenBucket(rtnetlink: Conversation, link: number, bucket: TokenBucket): void {
  rtnetlink.execute({
    asked: `have link ${link} send through a token bucket`,
    type: RTM.NEWQDISC,
    flags: NLM_F_CREATE,
    write: (writer) =>
      tbfQdisc.write(writeHeader(writer, placeOf(link, "ROOT")), {
        kind: "tbf",
        options: { parameters: bucket, rate64: rate64(bucket.rate) },
      }),
  })
}

/** Makes the qdisc that filters what the link receives. Throws EEXIST if there is one. */
export function createIngressQdisc(rtnetlink: Conversation, link: number): void {
  rtnetlink.execute({
    asked: `make an ingress qdisc on link ${link}`,
    type: RTM.NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => tc.write(writeHeader(writer, placeOf(link, "INGRESS")), { kind: "ingress" }),
  })
}

/** Removes the qdisc at that place if there is one with the handle that these functions give. */
export function removeQdisc(rtnetlink: Conversation, link: number, place: Place): void {
  try {
    rtnetlink.execute({
      asked: `remove the ${place.toLowerCase()} qdisc of link ${link}`,
      type: RTM.DELQDISC,
      write: (writer) => void writeHeader(writer, placeOf(link, place)),
    })
  } catch (error) {
    if (!refusedWith(error, "ENOENT", "EINVAL", "ENODEV")) throw error
  }
}

/** Returns true if these functions give a qdisc at that place this handle. */
export function isOwnHandle(handle: number, place: Place): boolean {
  return handle === handleAt(place)
}

function placeOf(link: number, place: Place): TcHeader {
  return { link, handle: handleAt(place), parent: PLACE[place] }
}

function handleAt(place: Place): number {
  return place === "ROOT" ? HANDLE.FIRST : HANDLE.INGRESS
}
