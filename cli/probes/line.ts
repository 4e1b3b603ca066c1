import type { DatagramSocket } from "../../lib/sys/datagram-socket.ts"
import { host } from "../../lib/sys/host.ts"
import { SystemError } from "../../lib/sys/system-error.ts"

/** The beginnings of packets are enough. One buffer serves all lines: a packet is read before the next one comes. */
const buffer = new Uint8Array(1024)

/** Packets that are read at once: whoever floods a pod shall not keep others from being heard. */
const AT_ONCE = 64

/** A socket on which something was asked. */
export interface Line {
  readonly socket: DatagramSocket
  /** Milliseconds after which no answer is one. */
  readonly patience: number
  /** Takes a packet, which may be anybody's and is valid until the next one. */
  readonly hear: (packet: Uint8Array) => void
  /** Takes an error that came back instead. */
  readonly fail?: (error: SystemError) => void
  /** Says if nothing more has to be waited for. */
  readonly isAnswered: () => boolean
}

/**
 * Hears what all lines are answered, waiting for the slowest once, and closes them. Returns the milliseconds that were waited in vain: 0 if all
 * are answered.
 */
export function hearOut(lines: readonly Line[]): number {
  const began = host.uptime()
  for (const line of lines) {
    for (;;) {
      listen(line)
      const left = began + line.patience - host.uptime()
      if (line.isAnswered() || left <= 0) break
      line.socket.awaitInput(left)
    }
  }
  glance(lines) // a second one may have answered as well
  for (const { socket } of lines) socket[Symbol.dispose]()
  return lines.every((line) => line.isAnswered()) ? 0 : host.uptime() - began
}

/** Hears what has been answered by now. */
export function glance(lines: readonly Line[]): void {
  for (const line of lines) listen(line)
}

function listen({ socket, hear, fail }: Line): void {
  try {
    for (let count = 0; count < AT_ONCE; count++) {
      const packet = socket.receive(buffer)
      if (!packet) return
      hear(packet)
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    fail?.(error)
  }
}
