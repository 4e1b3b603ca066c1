import { Descriptor } from "./file.ts"
import { host } from "./host.ts"
import { checked, failedWith } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"

/** The pause before something is tried again that another process keeps from being done. */
const PAUSE_MILLISECONDS = 10

/** A connection to a server's Unix socket. All that is done over it has one end. */
export class UnixStream implements Disposable {
  readonly #path: string
  readonly #seconds: number
  readonly #end: number
  readonly #file: Descriptor

  /** Connects. Throws SystemError, and TimedOut as all here does. */
  constructor(path: string, seconds: number) {
    this.#path = path
    this.#seconds = seconds
    this.#end = host.uptime() + seconds * 1000
    this.#file = new Descriptor(this.#insist(`connect to ${path}`, () => host.connect(path)))
  }

  /** Sends all of the bytes. */
  send(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      rest = rest.subarray(this.#insist(`send to ${this.#path}`, () => host.send(this.#file.fd, rest)))
    }
  }

  /** Waits for bytes. Returns how many there are in the buffer then; 0 if the server has closed the connection. */
  receive(buffer: Uint8Array): number {
    try {
      const asked = `receive from ${this.#path}`
      checked(asked, host.awaitInput(this.#file.fd, Math.max(0, this.#end - host.uptime())))
      return checked(asked, host.read(this.#file.fd, buffer))
    } catch (error) {
      if (failedWith(error, "ETIMEDOUT")) throw this.#timedOut()
      if (failedWith(error, "ECONNRESET")) return 0
      throw error
    }
  }

  /** Repeats a call that does not wait until it is done. */
  #insist(asked: string, call: () => number): number {
    for (;;) {
      try {
        return checked(asked, call())
      } catch (error) {
        if (!failedWith(error, "EAGAIN")) throw error
        if (host.uptime() >= this.#end) throw this.#timedOut()
        host.sleep(PAUSE_MILLISECONDS)
      }
    }
  }

  #timedOut(): TimedOut {
    return new TimedOut(`no answer over ${this.#path} within ${this.#seconds} seconds`, "")
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
  }
}
