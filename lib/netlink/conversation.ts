import { failedWith } from "../sys/system-error.ts"
import { WireError } from "./attribute.ts"
import type { KernelError } from "./kernel-error.ts"
import {
  decodeMessages,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  refusalIn,
  writeMessage,
} from "./message.ts"
import { Writer } from "./writer.ts"

/** How messages reach the kernel and datagrams come back. In tests a function stands in for the kernel. */
export interface Transport extends Disposable {
  send(message: Uint8Array): void
  /** Waits for the next datagram from the kernel. */
  receive(): Uint8Array
}

/** One request: `asked` completes "cannot ..." in the error when the kernel refuses. */
export interface Request {
  readonly asked: string
  readonly type: number
  readonly flags?: number
  readonly write: (writer: Writer) => void
}

/** What a dump brought. `partial` says that the kernel's state changed under every attempt to read it whole. */
export interface Dump {
  readonly messages: readonly Message[]
  readonly partial: boolean
}

const DUMP_ATTEMPTS = 5

/** Requests and their answers, one at a time, over one socket. */
export class Conversation implements Disposable {
  readonly #transport: Transport
  #sequence = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Has the kernel do something; returns once it is done. Throws KernelError. */
  perform(request: Request): void {
    this.#exchange({ ...request, flags: (request.flags ?? 0) | NLM_F_ACK })
  }

  /** The one message that answers a question about one object. Throws KernelError, ENODEV or ENOENT if there is none. */
  ask(request: Request): Message {
    const answer = this.askIfAny(request)
    if (!answer) throw new WireError("acknowledgement without an answer", 0)
    return answer
  }

  /** As ask(), for a question that the kernel may leave without an answer. */
  askIfAny(request: Request): Message | undefined {
    return this.#exchange({ ...request, flags: (request.flags ?? 0) | NLM_F_ACK }).messages[0]
  }

  /**
   * All objects of a kind; only those whose messages `select` accepts, which spares the others' being copied. A dump that the kernel
   * calls interrupted is read again, a few times.
   */
  dump(request: Request, select?: (message: Message) => boolean): Dump {
    for (let attempt = 1; ; attempt++) {
      const dump = this.#exchange({ ...request, flags: (request.flags ?? 0) | NLM_F_DUMP }, select)
      if (!dump.partial || attempt === DUMP_ATTEMPTS) return dump
    }
  }

  /**
   * Has the kernel do all of `requests` or nothing; they stand between `begin` and `end`, which make them one transaction. Throws the
   * KernelError of the first one refused.
   */
  performTogether(begin: Request, requests: readonly Request[], end: Request): void {
    const writer = new Writer()
    const first = this.#sequence + 1
    this.#write(writer, begin)
    for (const [index, request] of requests.entries()) {
      // The last one is acknowledged in any case, after all refusals, unless the transaction as a whole is refused.
      this.#write(writer, request, index === requests.length - 1 ? NLM_F_ACK : 0)
    }
    const last = this.#sequence
    this.#write(writer, end)
    this.#transport.send(writer.bytes)
    const refusal = this.#refusalAmong(first, last, [begin, ...requests])
    if (refusal) throw refusal
  }

  #refusalAmong(first: number, last: number, requests: readonly Request[]): KernelError | undefined {
    let refusal: KernelError | undefined
    let overrun = false
    for (;;) {
      try {
        for (const message of decodeMessages(this.#transport.receive())) {
          const request = requests[message.sequence - first]
          if (!request || message.type !== NLMSG_ERROR) continue
          refusal ??= refusalIn(message, request.asked)
          if (message.sequence === last || message.sequence === first) return refusal
        }
      } catch (error) {
        if (!failedWith(error, "ENOBUFS")) throw error
        overrun = true // so many refusals that the last are lost; the first is there
      }
      if (overrun && refusal) return refusal
    }
  }

  #write(writer: Writer, { type, flags = 0, write }: Request, more = 0): number {
    const sequence = ++this.#sequence
    writeMessage(writer, { type, flags: flags | more | NLM_F_REQUEST, sequence }, write)
    return sequence
  }

  #exchange(request: Request, select?: (message: Message) => boolean): Dump {
    const writer = new Writer()
    const sequence = this.#write(writer, request)
    this.#transport.send(writer.bytes)
    const messages: Message[] = []
    let partial = false
    for (;;) {
      for (const message of decodeMessages(this.#transport.receive())) {
        if (message.sequence !== sequence) continue // an answer to a request given up on
        partial ||= (message.flags & NLM_F_DUMP_INTR) !== 0
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const refusal = refusalIn(message, request.asked)
          if (refusal) throw refusal
          return { messages, partial }
        }
        if (!select || select(message)) messages.push(copied(message))
      }
    }
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }
}

/** The receive buffer is used again for the next datagram. */
function copied(message: Message): Message {
  return { ...message, payload: message.payload.slice() }
}
