import { host } from "../../../lib/sys/host.ts"
import { variable } from "../../../lib/sys/process.ts"
import { timeoutSeconds } from "../../../lib/sys/timeout.ts"
import { UnixStream } from "../../../lib/sys/unix-stream.ts"
import { lengthOfMessage, MalformedMessage, type MethodCall, type Reply, readReply, writeCall } from "./message.ts"

/** The time that firewalld may need to be loaded anew, with all that it has to load. */
const TIMEOUT_SECONDS = 30

const USUAL_ADDRESS = "unix:path=/var/run/dbus/system_bus_socket"

/** Leaves it to the socket's owner to tell the bus who asks; the first byte goes with the credentials. */
const AUTHENTICATION = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"

/** The bus does not let this process in. */
export class NotLetIn extends Error {}

/** Returns the path of the system bus's socket, by DBUS_SYSTEM_BUS_ADDRESS if that is set; undefined if it is no path. */
export function systemBusPath(): string | undefined {
  const addresses = variable("DBUS_SYSTEM_BUS_ADDRESS") || USUAL_ADDRESS
  for (const address of addresses.split(";")) {
    const path = /^unix:(?:[^,]*,)*path=([^,]+)/.exec(address)?.[1]
    if (path !== undefined) return path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
  }
  return undefined
}

/** A connection to the system bus. */
export class Bus implements Disposable {
  readonly #stream: UnixStream
  #received = new Uint8Array()
  #serial = 0

  /** Connects to the bus at the path; all calls over it have an end after so many seconds. Throws SystemError, TimedOut, NotLetIn, MalformedMessage. */
  constructor(path: string, seconds = timeoutSeconds(TIMEOUT_SECONDS)) {
    this.#stream = new UnixStream(path, seconds)
    try {
      this.#enter()
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Sends all at once: the bus reads its way through it. */
  #enter(): void {
    const name = "org.freedesktop.DBus"
    const hello = { destination: name, path: "/org/freedesktop/DBus", interface: name, member: "Hello", arguments: [] }
    const [begin, end] = [host.encode(AUTHENTICATION), this.#write(hello)]
    const bytes = new Uint8Array(begin.length + end.length)
    bytes.set(begin)
    bytes.set(end, begin.length)
    this.#stream.send(bytes)
    for (let line = this.#readLine(); !line.startsWith("OK"); line = this.#readLine()) {
      if (line !== "DATA") throw new NotLetIn(`the system bus does not let this process in: ${JSON.stringify(line)}`)
    }
    const { error, value } = this.#readReply()
    if (error !== undefined) throw new NotLetIn(`the system bus does not let this process in: ${error}: ${value}`)
  }

  /** Calls the method and waits for its answer. Throws as the constructor. */
  call(call: MethodCall): Reply {
    this.#stream.send(this.#write(call))
    return this.#readReply()
  }

  #write(call: MethodCall): Uint8Array {
    return writeCall(call, ++this.#serial)
  }

  /** Reads on to the answer to the last call. */
  #readReply(): Reply {
    for (;;) {
      const length = lengthOfMessage(this.#received)
      if (length === undefined || this.#received.length < length) {
        this.#receive()
        continue
      }
      const reply = readReply(this.#received.subarray(0, length))
      this.#received = this.#received.subarray(length)
      if (reply?.replySerial === this.#serial) return reply
    }
  }

  #readLine(): string {
    for (;;) {
      const end = this.#received.indexOf(0x0a)
      if (end >= 0) {
        const line = host.decode(this.#received.subarray(0, end)).trimEnd()
        this.#received = this.#received.subarray(end + 1)
        return line
      }
      if (this.#received.length > MAX_LINE) throw new MalformedMessage("a line without end")
      this.#receive()
    }
  }

  /** Waits for bytes, and puts them behind those that were not read yet. */
  #receive(): void {
    const buffer = new Uint8Array(this.#received.length + 4096)
    buffer.set(this.#received)
    const count = this.#stream.receive(buffer.subarray(this.#received.length))
    if (count === 0) throw new MalformedMessage("the system bus has closed the connection")
    this.#received = buffer.subarray(0, this.#received.length + count)
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]()
  }
}

const MAX_LINE = 4096
