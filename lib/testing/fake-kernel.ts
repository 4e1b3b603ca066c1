import { Conversation, type Transport } from "../netlink/conversation.ts"
import {
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../netlink/message.ts"
import type { Protocol } from "../netlink/protocol.ts"
import { Writer } from "../netlink/writer.ts"

/** Returns the datagrams that the kernel would answer, in their order. */
export type Answer = (request: Message) => readonly Uint8Array[]

const NLM_F_MULTI = 0x2
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

/**
 * Stands in for the kernel: answers every request by a function and keeps the requests. As with a socket, a datagram is gone when
 * the next one is received.
 */
export class FakeKernel implements Transport {
  /** Every request so far, byte for byte. */
  readonly requests: Uint8Array[] = []
  readonly conversation: Conversation
  readonly #answer: Answer
  readonly #queue: Uint8Array[] = []
  readonly #buffer = new Uint8Array(64 * 1024)

  constructor(answer: Answer, protocol?: Protocol) {
    this.conversation = new Conversation(this, protocol)
    this.#answer = answer
  }

  send(bytes: Uint8Array): void {
    const request = bytes.slice()
    this.requests.push(request)
    for (const message of decodeMessages(request)) this.#queue.push(...this.#answer(message))
  }

  receive(): Uint8Array {
    const next = this.#queue.shift()
    if (!next) throw new Error("the fake kernel has nothing more to say: a socket would wait for ever")
    this.#buffer.fill(0xee)
    this.#buffer.set(next)
    return this.#buffer.subarray(0, next.length)
  }

  [Symbol.dispose](): void {}
}

/** Returns the last request that `ask` makes of a kernel that agrees to everything. */
export function requestOf(ask: (kernel: Conversation) => void): Uint8Array {
  const kernel = new FakeKernel((request) => [acknowledge(request)])
  ask(kernel.conversation)
  return kernel.requests.at(-1) ?? new Uint8Array()
}

export function acknowledge(request: Message): Uint8Array {
  return error(request, { errno: 0, flags: NLM_F_CAPPED })
}

/** Refuses a request. `words` is the extended acknowledgement; `capped` leaves the refused message's body out, as the kernel does when asked to. */
export function refuse(request: Message, errno: number, words?: string, capped = true): Uint8Array {
  const flags = (capped ? NLM_F_CAPPED : 0) | (words === undefined ? 0 : NLM_F_ACK_TLVS)
  return error(request, { errno, flags, words })
}

/** Refuses the attribute at byte `offset` of the message. */
export function refuseAt(request: Message, errno: number, offset: number, words?: string): Uint8Array {
  return error(request, { errno, flags: NLM_F_CAPPED | NLM_F_ACK_TLVS, words, offset })
}

interface Refusal {
  readonly errno: number
  readonly flags: number
  readonly words?: string | undefined
  readonly offset?: number
}

function error(request: Message, { errno, flags, words, offset }: Refusal): Uint8Array {
  const { sequence } = request
  const body = flags & NLM_F_CAPPED ? new Uint8Array() : request.payload
  return encodeMessage({ type: NLMSG_ERROR, flags, sequence }, (writer) => {
    writer.u32(-errno)
    writer
      .u32(16 + request.payload.length)
      .u16(request.type)
      .u16(request.flags)
      .u32(sequence)
      .u32(0)
    writer.raw(body).align()
    if (words !== undefined)
      writer
        .u16(5 + words.length)
        .u16(1)
        .raw(new TextEncoder().encode(words))
        .u8(0)
        .align()
    if (offset !== undefined) writer.u16(8).u16(2).u32(offset)
  })
}

/** Returns one datagram with one message per payload. */
export function part(request: Message, type: number, payloads: readonly Uint8Array[], flags = NLM_F_MULTI): Uint8Array {
  const { sequence } = request
  return joined(payloads.map((payload) => encodeMessage({ type, flags, sequence }, (writer) => writer.raw(payload))))
}

/** Returns the end of a dump. */
export function done(request: Message, { interrupted = false, errno = 0 } = {}): Uint8Array {
  const flags = NLM_F_MULTI | (interrupted ? NLM_F_DUMP_INTR : 0)
  return encodeMessage({ type: NLMSG_DONE, flags, sequence: request.sequence }, (writer) => writer.u32(-errno))
}

/** Returns datagrams recorded elsewhere as answers to this request. */
export function replay(request: Message, datagrams: readonly Uint8Array[]): Uint8Array[] {
  return datagrams.map((datagram) => {
    const copy = datagram.slice()
    const view = new DataView(copy.buffer)
    for (let at = 0; at < copy.length; at += (view.getUint32(at, true) + 3) & ~3) {
      view.setUint32(at + 8, request.sequence, true)
    }
    return copy
  })
}

/** Joins messages, which start at multiples of four. */
function joined(messages: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer()
  for (const message of messages) writer.raw(message).align()
  return writer.bytes
}
