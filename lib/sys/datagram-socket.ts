import { errnoName } from "./errno.ts"
import { Descriptor } from "./file.ts"
import { host } from "./host.ts"
import { SOCK_NONBLOCK } from "./socket-kinds.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"

/** A socket of datagrams or packets. It stays in the network namespace that it was opened in, and waits in awaitInput() alone. */
export class DatagramSocket implements Disposable {
  readonly #file: Descriptor

  /** Throws SystemError, EPERM if the process may not open such a one. */
  constructor(family: number, type: number, protocol: number) {
    this.#file = new Descriptor(checked("open a socket", host.socket(family, type | SOCK_NONBLOCK, protocol)))
  }

  setOption(level: number, option: number, value: Uint8Array): void {
    checked("set up a socket", host.setOption(this.#file.fd, level, option, value))
  }

  /** Sends one datagram to a struct sockaddr of the socket's family. `asked` completes "cannot ..." if that fails, with a SystemError. */
  sendTo(address: Uint8Array, bytes: Uint8Array, asked: string): void {
    checked(asked, host.sendDatagram(this.#file.fd, address, bytes))
  }

  /**
   * Reads the next datagram that has come, cut to the buffer's length, into it; undefined if there is none. Throws SystemError if instead an
   * error came back for what was sent, as ECONNREFUSED.
   */
  receive(buffer: Uint8Array): Uint8Array | undefined {
    const length = host.read(this.#file.fd, buffer)
    if (length >= 0) return buffer.subarray(0, length)
    const error = new SystemError(errnoName(-length), "receive a datagram")
    if (failedWith(error, "EAGAIN")) return undefined
    throw error
  }

  /** Waits for a datagram or an error, no longer than that. */
  awaitInput(milliseconds: number): void {
    host.awaitInput(this.#file.fd, milliseconds)
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
  }
}
