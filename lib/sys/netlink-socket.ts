import { Descriptor } from "./file.ts"
import { call, checked, libc } from "./libc.ts"
import { failedWith, SystemError } from "./system-error.ts"

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const MSG_TRUNC = 0x20
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

/** struct nlmsghdr of type NLMSG_NOOP, which the kernel does not answer. */
const NOTHING = new Uint8Array(new Uint32Array([16, 1, 0, 0]).buffer)

/** The kernel answers within the send; a wait this long means that something is badly wrong. Seconds. */
const PATIENCE = 30

/** The kernel fills at most 32 KiB per datagram of a dump, and takes the buffer's size into account. */
const BUFFER = 64 * 1024

/** A datagram up to this size fits the send buffer that every socket has (net.core.wmem_default is 212,992). */
const ORDINARY = 128 * 1024

/**
 * A netlink socket. It belongs to the network namespace it was opened in for all its life. Extended acknowledgements and strict
 * checking, by which dumps are filtered in the kernel, are on where the kernel knows them (4.20).
 */
export class NetlinkSocket implements Disposable {
  readonly #file: Descriptor
  readonly #buffer = new Uint8Array(BUFFER)
  readonly #sender = new Uint32Array(3) // struct sockaddr_nl: family, port, groups
  readonly #senderSize = new Uint32Array(1)

  constructor(protocol: number) {
    this.#file = new Descriptor(
      checked("open a netlink socket", libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)),
    )
    this.#option(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    this.#option(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    this.#option(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    this.limitWait(PATIENCE)
  }

  /** From now on messages of this group (RTNLGRP_*) arrive too. */
  join(group: number): void {
    this.send(NOTHING) // gives the socket a port: the kernel announces nothing to sockets that have none
    const value = new Int32Array([group])
    checked("listen for kernel events", libc.setsockopt(this.#file.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, value, 4))
  }

  /** Bounds every later `receive`, in seconds. */
  limitWait(seconds: number): void {
    const microseconds = BigInt(Math.max(1, Math.trunc(seconds * 1e6)))
    const time = new BigInt64Array([microseconds / 1_000_000n, microseconds % 1_000_000n])
    checked(
      "bound the wait for the kernel",
      libc.setsockopt(this.#file.fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(time.buffer), 16),
    )
  }

  /** Whatever its size: the kernel takes a datagram whole or not at all. */
  send(message: Uint8Array): void {
    if (message.length > ORDINARY) this.#option(SOL_SOCKET, SO_SNDBUFFORCE, 2 * message.length)
    checked("send to the kernel", libc.send(this.#file.fd, message, message.length, 0))
  }

  /** The next datagram from the kernel itself; the bytes are valid until the next call. Throws SystemError ETIMEDOUT. */
  receive(): Uint8Array {
    for (;;) {
      const length = this.#receiveOne()
      if (length > BUFFER) throw new SystemError("EMSGSIZE", "receive from the kernel")
      if (this.#sender[1] === 0) return this.#buffer.subarray(0, length)
    }
  }

  #receiveOne(): number {
    this.#senderSize[0] = 12
    try {
      return call("receive from the kernel", () =>
        libc.recvfrom(this.#file.fd, this.#buffer, BUFFER, MSG_TRUNC, this.#sender, this.#senderSize),
      )
    } catch (error) {
      if (failedWith(error, "EAGAIN")) throw new SystemError("ETIMEDOUT", "receive from the kernel")
      throw error
    }
  }

  /** Waits for any announcement, or for one that was missed; false when `seconds` pass without. */
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

  /** Options that older kernels lack are left off. */
  #option(level: number, option: number, value: number): void {
    libc.setsockopt(this.#file.fd, level, option, new Int32Array([value]), 4)
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
  }
}
