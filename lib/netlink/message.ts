import { type Errno, errnoName } from "../sys/errno.ts"
import { host } from "../sys/host.ts"
import { attributeSet, text, u32, viewOf, WireError, wordAt } from "./attribute.ts"
import { KernelError } from "./kernel-error.ts"
import { Writer } from "./writer.ts"

/** One netlink message without its header. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly payload: Uint8Array
}

// linux/netlink.h
export const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
export const NLM_F_ECHO = 0x8
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_EXCL = 0x200
export const NLM_F_DUMP = 0x300
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

/** The length of struct nlmsghdr: length, type, flags, sequence, port. */
export const NLMSG_HEADER = 16

export interface Outgoing {
  readonly type: number
  readonly flags: number
  readonly sequence: number
}

/** Returns a message with the body that `write` appends. The kernel sets the port. */
export function encodeMessage({ type, flags, sequence }: Outgoing, write: Unsent["write"]): Uint8Array {
  const writer = new Writer()
  writeMessage(writer, { type, write }, flags, sequence)
  return writer.bytes
}

/** A message to send; `write` appends its body. */
interface Unsent {
  readonly type: number
  readonly write: (writer: Writer) => void
}

/** Appends one more message to a datagram. */
export function writeMessage(writer: Writer, message: Unsent, flags: number, sequence: number): void {
  const at = writer.align().begin(NLMSG_HEADER)
  message.write(writer)
  writer.endMessage(at, message.type | (flags << 16), sequence)
}

/** Returns the messages of one datagram. Throws WireError if a length does not fit. */
export function decodeMessages(datagram: Uint8Array): Message[] {
  const messages: Message[] = []
  const end = datagram.length
  for (let at = 0, length: number; at < end; at += (length + 3) & ~3) {
    length = lengthAt(datagram, at, end)
    messages.push(messageAt(datagram, at, length))
  }
  return messages
}

/**
 * Tells the messages of a dump that are certainly not wanted, before they are decoded: those that have none of `texts`, of `width` bytes
 * each, anywhere. If `attribute` is not 0, one of netfilter is passed over only if its attribute of that number begins with the byte `mark`.
 */
export interface Sieve {
  readonly texts: Uint8Array
  readonly width: number
  readonly attribute: number
  readonly mark: number
}

/** As decodeMessages, without what the sieve passes over. */
export function siftMessages(datagram: Uint8Array, { texts, width, attribute, mark }: Sieve): Message[] {
  const messages: Message[] = []
  const end = datagram.length
  for (let at = 0, length: number; ; at += (length + 3) & ~3) {
    at = host.nextMessage(datagram, at, texts, width, attribute, mark)
    if (at >= end) return messages
    length = lengthAt(datagram, at, end)
    messages.push(messageAt(datagram, at, length))
  }
}

/** Yields the messages of one datagram, which may be tens of thousands in what is sent. Throws WireError if a length does not fit. */
export function* eachMessage(datagram: Uint8Array): Generator<Message> {
  const end = datagram.length
  for (let at = 0, length: number; at < end; at += (length + 3) & ~3) {
    length = lengthAt(datagram, at, end)
    yield messageAt(datagram, at, length)
  }
}

/** Returns the length of the message at byte `at`. Messages start at multiples of four. */
function lengthAt(datagram: Uint8Array, at: number, end: number): number {
  if (at + NLMSG_HEADER > end) throw new WireError("message header cut short", datagram.byteOffset + at)
  const length = wordAt(datagram, at)
  if (length >= NLMSG_HEADER && at + length <= end) return length
  throw new WireError(`message of length ${length}`, datagram.byteOffset + at)
}

function messageAt(datagram: Uint8Array, at: number, length: number): Message {
  const kind = wordAt(datagram, at + 4)
  return {
    type: kind & 0xffff,
    flags: kind >>> 16,
    sequence: wordAt(datagram, at + 8),
    payload: datagram.subarray(at + NLMSG_HEADER, at + length),
  }
}

/** Returns true if the kernel says with this datagram that it has done what the request of that number asks, which half of all datagrams say. */
export function acknowledges(datagram: Uint8Array, sequence: number): boolean {
  const isError = datagram.length >= NLMSG_HEADER + 4 && datagram[4] === NLMSG_ERROR && datagram[5] === 0
  return isError && wordAt(datagram, NLMSG_HEADER) === 0 && wordAt(datagram, 8) === sequence
}

/** NLMSGERR_ATTR_*: the attributes of an error with extended acknowledgements. */
const extendedAck = attributeSet({ words: [1, text, "NLMSGERR_ATTR_MSG"], offset: [2, u32, "NLMSGERR_ATTR_OFFS"] })

/** An NLMSG_ERROR or NLMSG_DONE. */
export interface Acknowledgement {
  /** Absent: the kernel did what it was asked to. */
  readonly errno?: Errno
  /** The kernel's own explanation. */
  readonly words?: string | undefined
  /** Points at the attribute that the kernel refuses: the byte of the refused message, counted from its header. */
  readonly offset?: number | undefined
}

/** ENOENT and ENODEV as they come: negative, in 32 bits. */
export const NO_ENTRY = 2 ** 32 - 2
export const NO_DEVICE = 2 ** 32 - 19

/** Returns true for an NLMSG_ERROR of one of these numbers: that there is no such object is the usual answer to some requests. */
export function isOneOf(numbers: readonly number[], { payload }: Message): boolean {
  return payload.length >= 4 && numbers.includes(wordAt(payload, 0))
}

/** Reads an NLMSG_ERROR or NLMSG_DONE. Throws WireError. */
export function acknowledgementIn({ type, flags, payload }: Message): Acknowledgement {
  if (payload.length < 4) {
    if (type === NLMSG_DONE) return {}
    throw new WireError("error without a number", payload.byteOffset)
  }
  const view = viewOf(payload)
  const number = -view.getInt32(0, true)
  if (number <= 0) return {}
  const errno = errnoName(number)
  if (!(flags & NLM_F_ACK_TLVS)) return { errno }
  return { errno, ...extendedAck.read(payload, wordsAt({ type, flags }, view)) }
}

/**
 * Returns the refusal in an NLMSG_ERROR or NLMSG_DONE, or undefined if it is an acknowledgement. `attributeAt` names the attribute at a
 * byte of the refused message.
 */
export function refusalIn(
  message: Message,
  asked: string,
  attributeAt: (offset: number) => string | undefined = () => undefined,
): KernelError | undefined {
  const { errno, words, offset } = acknowledgementIn(message)
  if (errno === undefined) return undefined
  return new KernelError(errno, asked, { words, attribute: offset === undefined ? undefined : attributeAt(offset) })
}

/** Returns the offset of the words, after the refused message: only its header if capped, nothing in an NLMSG_DONE. */
function wordsAt({ type, flags }: Pick<Message, "type" | "flags">, view: DataView): number {
  if (type === NLMSG_DONE) return 4
  if (view.byteLength < 4 + NLMSG_HEADER) throw new WireError("refused message cut short", view.byteOffset + 4)
  if (flags & NLM_F_CAPPED) return 4 + NLMSG_HEADER
  const length = view.getUint32(4, true)
  if (length < NLMSG_HEADER || 4 + length > view.byteLength) {
    throw new WireError(`refused message of length ${length}`, view.byteOffset + 4)
  }
  return 4 + ((length + 3) & ~3)
}
