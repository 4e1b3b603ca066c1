import type { Address } from "../../lib/ip/address.ts"
import { DatagramSocket } from "../../lib/sys/datagram-socket.ts"
import type { Errno } from "../../lib/sys/errno.ts"
import { AF_INET, AF_INET6, SOCK_DGRAM } from "../../lib/sys/socket-kinds.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { decodeAnswer, encodeQuery, type Query } from "./dns.ts"
import type { Line } from "./line.ts"
import { randomId } from "./nonce.ts"
import { ipAddress } from "./socket-address.ts"

const PATIENCE = 2000
const PORT = 53

/** IP_RECVERR and IPV6_RECVERR: what comes back by ICMP is told. */
const RECVERR = { 4: { level: 0, option: 11 }, 6: { level: 41, option: 25 } } as const

/** A question to a nameserver, and what came back. */
export interface Asked {
  readonly name: string
  /** NOERROR, SERVFAIL, ...; undefined: no answer. */
  code?: string
  /** The reason that nothing could be sent, or what came back instead of an answer. */
  refusal?: Errno
}

/** Asks the nameserver for the names, from the network namespace that this process is in. Throws SystemError if it may not. */
export function askNameserver(address: Address, names: readonly string[]): { line: Line; asked: readonly Asked[] } {
  const socket = new DatagramSocket(address.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0)
  const pending = names.flatMap((name) => {
    const query = encodeQuery(randomId(), name)
    return query ? [{ query, asked: { name } as Asked }] : []
  })
  const refuse = ({ errno }: SystemError) => {
    for (const { asked } of pending) if (asked.code === undefined) asked.refusal = errno
  }
  const { level, option } = RECVERR[address.family]
  try {
    socket.setOption(level, option, new Uint8Array([1, 0, 0, 0]))
    for (const { query } of pending) socket.sendTo(ipAddress(address, PORT), query.packet, "send a query")
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    refuse(error)
  }
  const line = {
    socket,
    patience: PATIENCE,
    hear: (packet: Uint8Array) => hear(packet, pending),
    fail: refuse,
    isAnswered: () => pending.every(({ asked }) => asked.code !== undefined || asked.refusal !== undefined),
  }
  return { line, asked: pending.map(({ asked }) => asked) }
}

function hear(packet: Uint8Array, pending: readonly { readonly query: Query; readonly asked: Asked }[]): void {
  for (const { query, asked } of pending) {
    const code = decodeAnswer(packet, query)
    if (code !== undefined) asked.code ??= code
  }
}
