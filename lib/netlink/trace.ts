import type { NetlinkObserver } from "../sys/netlink-socket.ts"
import { WireError } from "./attribute.ts"
import { eachMessage, NLMSG_DONE } from "./message.ts"
import { printHex } from "./print.ts"
import { type Protocol, printMessage } from "./protocol.ts"

type Listener = (message: object) => void

let listener: Listener | undefined
let isBrief = false

/**
 * Calls `listen` with every message, as an object for JSON, of the sockets that are opened from now on, and with every sysctl that is set. If
 * `brief`, what the kernel says of its packet filter is left out: a full node has thousands of rules.
 */
export function traceNetlink(listen: Listener | undefined, brief = false): void {
  listener = listen
  isBrief = brief
}

/**
 * Returns the observer that decodes the messages of a socket; undefined if nobody listens. `netns` is the path of its namespace, absent for
 * the node's.
 */
export function tracer(protocol: Protocol, netns: string | undefined): NetlinkObserver | undefined {
  return listener && new Tracer(listener, protocol, netns)
}

/** Tells who listens that a sysctl is set, in the namespace at that path: it is no netlink message, but part of the same story. */
export function traceSysctl(netns: string | undefined, name: string, value: string): void {
  listener?.({ direction: "sent", family: "sysctl", netns, name, value })
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
    for (const message of this.#messages(datagram, direction === "received")) this.#listen({ ...about, ...message })
  }

  /** Decodes a datagram; a part that cannot be decoded is logged in hex. */
  *#messages(datagram: Uint8Array, isAnswer: boolean): Generator<object> {
    const isLeftOut = (type: number) => isBrief && isAnswer && this.#protocol.name === "netfilter" && type > NLMSG_DONE
    try {
      for (const message of eachMessage(datagram))
        if (!isLeftOut(message.type)) yield printMessage(this.#protocol, message, this.#sent)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      yield { malformed: error.message, datagram: printHex(datagram) }
    }
  }
}
