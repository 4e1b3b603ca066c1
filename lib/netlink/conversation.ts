import { failedWith } from "../sys/system-error.ts"
import { WireError } from "./attribute.ts"
import type { KernelError } from "./kernel-error.ts"
import {
  acknowledges,
  decodeMessages,
  isOneOf,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NO_DEVICE,
  NO_ENTRY,
  refusalIn,
  type Sieve,
  siftMessages,
  writeMessage,
} from "./message.ts"
import { type Protocol, refusedAttribute } from "./protocol.ts"
import { Writer } from "./writer.ts"

/** Carries messages to the kernel and datagrams back. In tests a function stands in for the kernel. */
export interface Transport extends Disposable {
  send(message: Uint8Array): void
  /** Waits for the next datagram from the kernel. */
  receive(): Uint8Array
  /** Returns the index of the link of that name if it can be had without a request. Left out if it never can. */
  indexOf?(name: string): number | undefined
  /** Gives up all that has not been received yet. Left out if that cannot be. */
  abandon?(): void
}

/** One request: `asked` completes "cannot ..." in the error if the kernel refuses. */
export interface Request {
  readonly asked: string
  readonly type: number
  readonly flags?: number
  /** The rules or chain that are asked for, so that who knows them already need not read what is written. */
  readonly about?: RuleKey
  readonly write: (writer: Writer) => void
}

/** A rule of nf_tables; without a handle those of a chain, without a chain those of a table. */
export interface RuleKey {
  readonly family: string
  readonly table: string
  readonly chain?: string | undefined
  readonly handle?: bigint
}

/** The values that were read of a dump. `partial` is true if the kernel's state changed during every attempt to read it whole. */
export interface Readings<Value> {
  readonly values: Value[]
  readonly partial: boolean
}

const DUMP_ATTEMPTS = 5

/**
 * Requests in one datagram: all of them may be refused, and a socket has room for some 200 refusals. The kernel drops what comes behind, and
 * every answer afterwards until the last of them is read.
 */
const MOST_TOGETHER = 64

/** The numbers by which the kernel says that all is done, or that there is no such object. */
const SUCCESS = [0]
const NOT_THERE = [NO_ENTRY, NO_DEVICE]

/** The part of a dump that is wanted. */
interface Expectations {
  readonly sieve?: Sieve | undefined
  /** Set if the first value is all that is wanted. */
  readonly oneIsEnough?: boolean
}

/** A request whose answer is of no interest, unless it is a refusal that is not `usual`. */
interface Order {
  readonly request: Request
  readonly usual: readonly number[]
}

/** Requests and their answers, one at a time, over one socket. */
export class Conversation implements Disposable {
  readonly #transport: Transport
  readonly #protocol: Protocol | undefined
  /** Holds the request that is being answered. */
  readonly #writer = new Writer()
  #sequence = 0
  /** Those of together(), while its body runs. */
  #gathered: Order[] | undefined

  /** Without a protocol errors do not name the attribute that the kernel refuses. */
  constructor(transport: Transport, protocol?: Protocol) {
    this.#transport = transport
    this.#protocol = protocol
  }

  /** Returns the index of the link of that name if it can be had without a request. */
  indexOf(name: string): number | undefined {
    return this.#transport.indexOf?.(name)
  }

  /** Executes a request and returns once it is done. Throws KernelError. */
  execute(request: Request): void {
    this.#order(request, [])
  }

  /** Executes a request to remove something. It is no error if that is not there (ENOENT). */
  remove(request: Request): void {
    this.#order(request, [NO_ENTRY])
  }

  #order(request: Request, usual: readonly number[]): void {
    if (this.#gathered) this.#gathered.push({ request, usual })
    else this.#ask(request, NLM_F_ACK, nothing, usual)
  }

  /**
   * Has the requests that `body` executes, and asks nothing beside, sent in one datagram, or many in several. The kernel does them in their
   * order, those behind one that it refuses as well. Throws the KernelError of the first that it refuses, once all are done.
   */
  together(body: () => void): void {
    const orders: Order[] = []
    this.#gathered = orders
    try {
      body()
    } finally {
      this.#gathered = undefined
    }
    let refusal: KernelError | undefined
    for (let at = 0; at < orders.length; at += MOST_TOGETHER) {
      const refused = this.#perform(orders.slice(at, at + MOST_TOGETHER))
      refusal ??= refused
    }
    if (refusal) throw refusal
  }

  /** Sends the requests in one datagram, and returns the first refusal. */
  #perform(orders: readonly Order[]): KernelError | undefined {
    const writer = this.#writer
    writer.clear()
    const first = this.#sequence + 1
    const last = this.#sequence + orders.length
    // The last one is acknowledged in any case, after all refusals.
    for (const { request } of orders) this.#write(writer, request, this.#sequence + 1 === last ? NLM_F_ACK : 0)
    this.#transport.send(writer.bytes)
    return this.#refusalOfOrders(first, orders)
  }

  #refusalOfOrders(first: number, orders: readonly Order[]): KernelError | undefined {
    const last = first + orders.length - 1
    let refusal: KernelError | undefined
    for (let answered = false; !answered; ) {
      for (const message of decodeMessages(this.#transport.receive())) {
        const order = orders[message.sequence - first]
        if (!order || message.type !== NLMSG_ERROR) continue
        refusal ??= this.#refusal(message, order.request.asked, this.#writer, order.usual)
        answered ||= message.sequence === last
      }
    }
    return refusal
  }

  /**
   * Returns what `read` makes of the message that answers a request for one object; the message is valid only within `read`. Throws
   * KernelError, ENODEV or ENOENT if there is none.
   */
  get<Value>(request: Request, read: (message: Message) => Value): Value {
    const value = this.#ask(request, 0, read)
    if (value === undefined) throw new WireError("acknowledgement without an answer", 0)
    return value
  }

  /** Returns the answer as get() does, or undefined if there is no such object (ENOENT, ENODEV). */
  find<Value>(request: Request, read: (message: Message) => Value): Value | undefined {
    return this.#ask(request, 0, read, NOT_THERE)
  }

  /** Returns the answer as get() does, or undefined: some requests the kernel may only acknowledge. */
  tryGet<Value>(request: Request, read: (message: Message) => Value): Value | undefined {
    return this.#ask(request, NLM_F_ACK, read)
  }

  /**
   * Dumps all objects of a kind and keeps the values that `read` returns for the messages, without undefined; `kept` counts those so far. A
   * message is valid only within `read`, so that thousands take no more memory than the values. A dump that the kernel calls interrupted is
   * read again, a few times. What the sieve passes over `read` may not see.
   */
  dump<Value>(
    request: Request,
    read: (message: Message, kept: number) => Value | undefined,
    sieve?: Sieve,
  ): Readings<Value> {
    for (let attempt = 1; ; attempt++) {
      const readings = this.#dump(request, read, { sieve })
      if (!readings.partial || attempt === DUMP_ATTEMPTS) return readings
    }
  }

  /** Dumps as dump() does until `read` has returned a value: the rest, which may be thousands, the kernel is spared if it can be. */
  dumpFirst<Value>(request: Request, read: (message: Message) => Value | undefined): Readings<Value> {
    const readOnce = (message: Message, kept: number) => (kept === 0 ? read(message) : undefined)
    return this.#dump(request, readOnce, { oneIsEnough: true })
  }

  /**
   * Executes all of `requests` or none, in one transaction between `begin` and `end`. They are written one by one as they come, so that
   * tens of thousands need not be in memory. Without requests nothing is sent. Throws the KernelError of the first one that is refused.
   */
  batch(begin: Request, requests: Iterable<Request>, end: Request): void {
    const writer = new Writer()
    const first = this.#sequence + 1
    this.#write(writer, begin)
    const asked = [begin.asked]
    let pending: Request | undefined
    for (const request of requests) {
      if (pending) this.#write(writer, pending)
      pending = request
      const before = asked.at(-1)
      asked.push(request.asked === before ? before : request.asked) // thousands of equal texts are kept once
    }
    if (!pending) return
    // The last one is acknowledged in any case, after all refusals, unless the transaction as a whole is refused.
    const last = this.#write(writer, pending, NLM_F_ACK)
    this.#write(writer, end)
    this.#transport.send(writer.bytes)
    const refusal = this.#refusalAmong(first, last, asked, writer)
    if (refusal) throw refusal
  }

  #refusalAmong(first: number, last: number, asked: readonly string[], sent: Writer): KernelError | undefined {
    let refusal: KernelError | undefined
    let overrun = false
    for (;;) {
      try {
        for (const message of decodeMessages(this.#transport.receive())) {
          const what = asked[message.sequence - first]
          if (what === undefined || message.type !== NLMSG_ERROR) continue
          refusal ??= this.#refusal(message, what, sent)
          if (message.sequence === last || message.sequence === first) return refusal
        }
      } catch (error) {
        if (!failedWith(error, "ENOBUFS")) throw error
        overrun = true // so many refusals that the last are lost; the first is there
      }
      if (overrun && refusal) {
        this.#transport.abandon?.() // else the kernel drops what it answers next, until all that the socket holds is read
        return refusal
      }
    }
  }

  #refusal(message: Message, asked: string, sent: Writer, usual: readonly number[] = []): KernelError | undefined {
    if (isOneOf(usual, message) || isOneOf(SUCCESS, message)) return undefined
    return refusalIn(
      message,
      asked,
      (offset) => this.#protocol && refusedAttribute(this.#protocol, sent.bytes, message.sequence, offset),
    )
  }

  #write(writer: Writer, request: Request, more = 0): number {
    const sequence = ++this.#sequence
    writeMessage(writer, request, (request.flags ?? 0) | more | NLM_F_REQUEST, sequence)
    return sequence
  }

  #send(request: Request, more: number): number {
    const writer = this.#writer
    writer.clear()
    const sequence = this.#write(writer, request, more)
    this.#transport.send(writer.bytes)
    return sequence
  }

  /**
   * Returns the first value that `read` returns for the messages before the acknowledgement; without NLM_F_ACK there is but one. Returns undefined
   * if the kernel refuses with one of the `usual` errors.
   */
  #ask<Value>(
    request: Request,
    flags: number,
    read: (message: Message) => Value | undefined,
    usual: readonly number[] = [],
  ): Value | undefined {
    const sequence = this.#send(request, flags)
    let value: Value | undefined
    for (;;) {
      const datagram = this.#transport.receive()
      if (acknowledges(datagram, sequence)) return value
      for (const message of decodeMessages(datagram)) {
        if (message.sequence !== sequence) continue // an answer to a request given up on
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const refusal = this.#refusal(message, request.asked, this.#writer, usual)
          if (refusal) throw refusal
          return value
        }
        value ??= read(message)
        if (flags === 0) return value
      }
    }
  }

  #dump<Value>(
    request: Request,
    read: (message: Message, kept: number) => Value | undefined,
    { sieve, oneIsEnough }: Expectations,
  ): Readings<Value> {
    const sequence = this.#send(request, NLM_F_DUMP)
    const values: Value[] = []
    let partial = false
    for (let datagrams = 1; ; datagrams++) {
      const datagram = this.#transport.receive()
      for (const message of sieve ? siftMessages(datagram, sieve) : decodeMessages(datagram)) {
        if (message.sequence !== sequence) continue
        partial ||= (message.flags & NLM_F_DUMP_INTR) !== 0
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const refusal = this.#refusal(message, request.asked, this.#writer)
          if (refusal) throw refusal
          return { values, partial }
        }
        const value = read(message, values.length)
        if (value !== undefined) values.push(value)
      }
      // The end of a short dump comes with the second datagram, for less than another socket costs.
      if (!oneIsEnough || values.length === 0 || datagrams < 2 || !this.#transport.abandon) continue
      this.#transport.abandon()
      return { values, partial }
    }
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }
}

/** Ignores an answer. */
function nothing(): undefined {}
