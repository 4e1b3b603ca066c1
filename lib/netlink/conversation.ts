import { WireError } from "./attribute.ts"
import {
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  refusalIn,
} from "./message.ts"
import type { Writer } from "./writer.ts"

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
    const [answer] = this.#exchange({ ...request, flags: (request.flags ?? 0) | NLM_F_ACK }).messages
    if (!answer) throw new WireError("acknowledgement without an answer", 0)
    return answer
  }

  /** All objects of a kind. A dump that the kernel calls interrupted is read again, a few times. */
  dump(request: Request): Dump {
    for (let attempt = 1; ; attempt++) {
      const dump = this.#exchange({ ...request, flags: (request.flags ?? 0) | NLM_F_DUMP })
      if (!dump.partial || attempt === DUMP_ATTEMPTS) return dump
    }
  }

  #exchange(request: Request): Dump {
    const sequence = ++this.#sequence
    const { type, flags = 0 } = request
    this.#transport.send(encodeMessage({ type, flags: flags | NLM_F_REQUEST, sequence }, request.write))
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
        messages.push(copied(message))
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
