import { Descriptor } from "./file.ts"
import { host } from "./host.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"

const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1

export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

/** struct nlmsghdr of type NLMSG_NOOP, which the kernel does not answer. */
const NOTHING = new Uint8Array(new Uint32Array([16, 1, 0, 0]).buffer)

/** The kernel answers during the send; a wait of so many seconds is a fault. */
const ANSWER_TIMEOUT = 30

/** Returns an int as setsockopt(2) takes it. */
function optionOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer)
}

/** Returns a struct timeval. */
function timevalOf(seconds: number): Uint8Array {
  const microseconds = BigInt(Math.max(1, Math.trunc(seconds * 1e6)))
  return new Uint8Array(new BigInt64Array([microseconds / 1_000_000n, microseconds % 1_000_000n]).buffer)
}

/** The kernel fills at most 32 KiB per datagram of a dump, and takes the buffer's size into account. */
const BUFFER = 64 * 1024

/** A datagram up to this size fits into the default send buffer (net.core.wmem_default is 212,992). */
const ORDINARY = 128 * 1024

/** Sees every datagram of a socket, for the log. */
export interface NetlinkObserver {
  sent(datagram: Uint8Array): void
  received(datagram: Uint8Array): void
}

/**
 * A netlink socket. It stays in the network namespace that it was opened in. Extended acknowledgements and strict
 * checking, by which dumps are filtered in the kernel, are on if the kernel knows them (4.20).
 */
export class NetlinkSocket implements Disposable {
  readonly #file: Descriptor
  #buffer = new Uint8Array(BUFFER)
  readonly #observer: NetlinkObserver | undefined

  constructor(protocol: number, observer?: NetlinkObserver) {
    this.#observer = observer
    this.#file = new Descriptor(checked("open a netlink socket", host.netlink(protocol, ANSWER_TIMEOUT)))
  }

  /** Subscribes to messages of a multicast group (RTNLGRP_*). */
  join(group: number): void {
    this.send(NOTHING) // binds the socket to a port: without one it receives no multicast
    checked("listen for kernel events", this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, optionOf(group)))
  }

  /** Limits the wait of later calls of `receive`. */
  limitWait(seconds: number): void {
    checked("bound the wait for the kernel", this.#setOption(SOL_SOCKET, SO_RCVTIMEO, timevalOf(seconds)))
  }

  /** Sends a datagram of any size: the kernel takes it whole or not at all. */
  send(message: Uint8Array): void {
    if (message.length > ORDINARY) this.#setOption(SOL_SOCKET, SO_SNDBUFFORCE, optionOf(2 * message.length))
    checked("send to the kernel", host.send(this.#file.fd, message))
    this.#observer?.sent(message)
  }

  /** Returns the next datagram from the kernel itself; the bytes are valid until the next call. Throws SystemError ETIMEDOUT. */
  receive(): Uint8Array {
    try {
      const length = checked("receive from the kernel", host.receive(this.#file.fd, this.#buffer))
      const datagram = new Uint8Array(this.#buffer.buffer, 0, length)
      this.#observer?.received(datagram)
      return datagram
    } catch (error) {
      if (failedWith(error, "EAGAIN")) throw new SystemError("ETIMEDOUT", "receive from the kernel")
      throw error
    }
  }

  /** Returns the index of the link of that name; undefined if there is none, or the kernel does not tell it without a request. */
  indexOf(name: string): number | undefined {
    const index = host.linkIndex(this.#file.fd, name)
    return index > 0 ? index : undefined
  }

  /** Waits for a multicast message, or for one that was lost; returns false if none comes in time. */
  waitForEvent(seconds: number): boolean {
    if (seconds <= 0) return false
    this.limitWait(seconds)
    try {
      this.receive()
      return true
    } catch (error) {
      if (failedWith(error, "ENOBUFS")) return true
      if (failedWith(error, "ETIMEDOUT")) return false
      throw error
    }
  }

  #setOption(level: number, option: number, value: Uint8Array): number {
    return host.setOption(this.#file.fd, level, option, value)
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
    this.#buffer = new Uint8Array() // which a circle of references would keep: a process that looks into all pods opens hundreds
  }
}
