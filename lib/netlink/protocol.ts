import type { Body } from "./attribute.ts"
import { acknowledgementIn, eachMessage, type Message, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER } from "./message.ts"
import { attributeAt, flagNames, printBody, printHex } from "./print.ts"

/** Knows the messages of one netlink protocol, for the log and for errors. */
export interface Protocol {
  readonly name: string
  /** Returns the name of messages of that type, and the body of their payloads. */
  readonly formatOf: (type: number, payload: Uint8Array) => Format | undefined
}

export interface Format {
  readonly name: string
  readonly body: Body
}

// linux/netlink.h: flags of any message, then of each kind
const COMMON = { REQUEST: 0x1, MULTI: 0x2, ACK: 0x4, ECHO: 0x8, DUMP_INTR: 0x10, DUMP_FILTERED: 0x20 } as const
const OF_GET = { DUMP: 0x300 } as const
const OF_NEW = { REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, APPEND: 0x800 } as const
const OF_ACK = { CAPPED: 0x100, ACK_TLVS: 0x200 } as const

const NLMSG_NOOP = 1

/** Returns a message for the log; `sent` is the datagram that it may answer. */
export function printMessage(protocol: Protocol, message: Message, sent: Uint8Array): object {
  const { type, flags, sequence, payload } = message
  if (type === NLMSG_NOOP) return { type: "NLMSG_NOOP", seq: sequence }
  if (type === NLMSG_ERROR || type === NLMSG_DONE) {
    const name = type === NLMSG_ERROR ? "NLMSG_ERROR" : "NLMSG_DONE"
    return {
      type: name,
      flags: flagNames({ ...COMMON, ...OF_ACK }, flags),
      seq: sequence,
      ...answer(protocol, message, sent),
    }
  }
  const format = protocol.formatOf(type, payload)
  const name = format?.name ?? `#${type}`
  const known = name.includes("_GET") ? OF_GET : OF_NEW
  const about = { type: name, flags: flagNames({ ...COMMON, ...known }, flags), seq: sequence }
  return { ...about, ...(format ? printBody(format.body, payload) : { payload: printHex(payload) }) }
}

function answer(protocol: Protocol, message: Message, sent: Uint8Array): object {
  const { errno, words, offset } = acknowledgementIn(message)
  const attribute = offset === undefined ? undefined : refusedAttribute(protocol, sent, message.sequence, offset)
  return { error: errno ?? 0, words, attribute }
}

/** Returns the kernel's name of the attribute at byte `offset` of the message of that number in a datagram; undefined if it is none. */
export function refusedAttribute(
  { formatOf }: Protocol,
  datagram: Uint8Array,
  sequence: number,
  offset: number,
): string | undefined {
  for (const message of eachMessage(datagram)) {
    if (message.sequence !== sequence) continue
    const format = formatOf(message.type, message.payload)
    return format && attributeAt(format.body, message.payload, offset - NLMSG_HEADER)
  }
  return undefined
}
