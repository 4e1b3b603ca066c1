import type { NetlinkObserver } from "../sys/netlink-socket.ts"
import { WireError } from "./attribute.ts"
import { eachMessage } from "./message.ts"
import { printHex } from "./print.ts"
import { type Protocol, printMessage } from "./protocol.ts"

type Listener = (message: object) => void

let listener: Listener | undefined

/** Has every message of the sockets that are opened from now on told to `listen`, as an object for JSON. */
export function traceNetlink(listen: Listener | undefined): void {
  listener = listen
}

/** Returns who decodes the messages of a socket; undefined if nobody listens. `netns` is the path of its namespace, if that is not the node's. */
export function tracer(protocol: Protocol, netns: string | undefined): NetlinkObserver | undefined {
  return listener && new Tracer(listener, protocol, netns)
}

class Tracer implements NetlinkObserver {
  readonly #listen: Listener
  readonly #protocol: Protocol
  readonly #netns: string | undefined
  #sent: Uint8Array = new Uint8Array()

  constructor(listen: Listener, protocol: Protocol, netns: string | undefined) {
    this.#listen = listen
    this.#protocol = protocol
    this.#netns = netns
  }

  sent(datagram: Uint8Array): void {
    this.#sent = datagram.slice() // the writer may use its buffer again
    this.#tell("sent", datagram)
  }

  received(datagram: Uint8Array): void {
    this.#tell("received", datagram)
  }

  #tell(direction: string, datagram: Uint8Array): void {
    const about = { direction, family: this.#protocol.name, netns: this.#netns }
    for (const message of this.#messages(datagram)) this.#listen({ ...about, ...message })
  }

  /** Decodes a datagram; what cannot be decoded is told in hex, for that is what somebody looks for. */
  *#messages(datagram: Uint8Array): Generator<object> {
    try {
      for (const message of eachMessage(datagram)) yield printMessage(this.#protocol, message, this.#sent)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      yield { malformed: error.message, datagram: printHex(datagram) }
    }
  }
}
