import type { Address, Family } from "../../ip/address.ts"
import { address, attributeSet, type Body, be16, be32, findAttribute, nested, u8, u32 } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import type { Message } from "../message.ts"
import { HEADER, nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"

/** IPCTNL_MSG_CT_* */
export const CT = { NEW: 0, GET: 1, DELETE: 2 } as const

/** CTA_IP_* */
const ip = attributeSet({
  source4: [1, address, "CTA_IP_V4_SRC"],
  destination4: [2, address, "CTA_IP_V4_DST"],
  source6: [3, address, "CTA_IP_V6_SRC"],
  destination6: [4, address, "CTA_IP_V6_DST"],
})

/** CTA_PROTO_* */
const proto = attributeSet({
  number: [1, u8, "CTA_PROTO_NUM"],
  sourcePort: [2, be16, "CTA_PROTO_SRC_PORT"],
  destinationPort: [3, be16, "CTA_PROTO_DST_PORT"],
})

/** CTA_TUPLE_* */
const tuple = attributeSet({
  ip: [1, nested(ip), "CTA_TUPLE_IP"],
  proto: [2, nested(proto), "CTA_TUPLE_PROTO"],
  zone: [3, be16, "CTA_TUPLE_ZONE"],
})

/** CTA_FILTER_* */
const filter = attributeSet({ original: [1, u32, "CTA_FILTER_ORIG_FLAGS"], reply: [2, u32, "CTA_FILTER_REPLY_FLAGS"] })

/** CTA_* of linux/netfilter/nfnetlink_conntrack.h. */
const flow = attributeSet({
  original: [1, nested(tuple), "CTA_TUPLE_ORIG"],
  reply: [2, nested(tuple), "CTA_TUPLE_REPLY"],
  id: [12, be32, "CTA_ID"],
  zone: [18, be16, "CTA_ZONE"],
  filter: [25, nested(filter), "CTA_FILTER"],
})

/** An IPCTNL_MSG_CT_NEW and its like. */
export const flowBody: Body = { header: nfnetlinkHeader, attributes: flow }

/** Chooses which values of a tuple count if a dump is filtered: bits in the order of the kernel's net/netfilter/nf_internals.h. */
const FILTER = { PROTOCOL: 1 << 3, DESTINATION_PORT: 1 << 5 } as const

/** One direction of a flow. Protocols without ports have 0. */
export interface Tuple {
  readonly source: Address
  readonly destination: Address
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
}

/** A connection that the kernel tracks: the addresses of its first packet, and those of the answers to it. */
export interface Flow {
  readonly original: Tuple
  readonly reply: Tuple
  /** Distinguishes the flow from a later one between the same ends. */
  readonly id: number | undefined
  readonly zone: number | undefined
}

/** Chooses flows to list. */
export interface FlowFilter {
  readonly family: Family
  readonly protocol: number
  /** The ports that first packets were sent to, before any translation. */
  readonly destinationPorts: ReadonlySet<number>
}

/** The tracked flows that were found. */
export interface FoundFlows {
  readonly flows: readonly Flow[]
  /** True if the kernel sent no others: since 5.8 it picks the flows of one port itself. */
  readonly picked: boolean
}

/**
 * Lists at most so many of the flows that the filter and `test` select. Throws KernelError if the kernel tracks no connections.
 */
export function findFlows(
  nfnetlink: Conversation,
  wanted: FlowFilter,
  test: (flow: Flow) => boolean,
  most: number,
): FoundFlows {
  let picked = true
  const { values } = nfnetlink.dump(dumpRequest(wanted), (message, kept) => {
    if (kept >= most) return undefined
    if (!wanted.destinationPorts.has(destinationPortIn(message))) {
      picked = false
      return undefined
    }
    const found = decodeFlow(message)
    return found && fits(found, wanted) && test(found) ? found : undefined
  })
  return { flows: values, picked }
}

function dumpRequest({ family, protocol, destinationPorts }: FlowFilter): Request {
  const [destinationPort] = destinationPorts.size === 1 ? destinationPorts : []
  const byPort = destinationPort === undefined ? 0 : FILTER.DESTINATION_PORT
  return {
    asked: `list the IPv${family} flows that are tracked`,
    type: typeOf(SUBSYSTEM.CTNETLINK, CT.GET),
    write: (writer) =>
      flow.write(writeHeader(writer, family === 4 ? "ip" : "ip6"), {
        original: { proto: { number: protocol, destinationPort } },
        filter: { original: FILTER.PROTOCOL | byPort, reply: 0 },
      }),
  }
}

function fits({ original }: Flow, { family, protocol }: FlowFilter): boolean {
  return original.destination.family === family && original.protocol === protocol
}

const [ORIGINAL, PROTO, DESTINATION_PORT] = [1, 2, 3]

/** Reads only the port, with a tenth of the work: most flows are not selected. */
function destinationPortIn({ payload }: Message): number {
  const original = findAttribute(payload, ORIGINAL, HEADER)
  const protocol = original && findAttribute(original, PROTO)
  const port = protocol && findAttribute(protocol, DESTINATION_PORT)
  return port ? ((port[0] ?? 0) << 8) | (port[1] ?? 0) : 0
}

/** Removes the flow, so that the rules apply to its next packet. Returns false if there was none. */
export function removeFlow(nfnetlink: Conversation, { original, id, zone }: Flow): boolean {
  try {
    nfnetlink.execute({
      asked: "forget a tracked flow",
      type: typeOf(SUBSYSTEM.CTNETLINK, CT.DELETE),
      write: (writer) =>
        flow.write(writeHeader(writer, original.source.family === 4 ? "ip" : "ip6"), {
          original: encodeTuple(original),
          id,
          zone,
        }),
    })
    return true
  } catch (error) {
    if (refusedWith(error, "ENOENT")) return false
    throw error
  }
}

function encodeTuple({ source, destination, protocol, sourcePort, destinationPort }: Tuple) {
  const ends =
    source.family === 4
      ? { source4: source, destination4: destination }
      : { source6: source, destination6: destination }
  return { ip: ends, proto: { number: protocol, sourcePort, destinationPort } }
}

/** Returns the flow of an IPCTNL_MSG_CT_NEW, or undefined if a tuple is not one of IP addresses. */
export function decodeFlow({ payload }: Message): Flow | undefined {
  const { original, reply, id, zone } = flow.read(payload, HEADER)
  const [there, back] = [decodeTuple(original), decodeTuple(reply)]
  return there && back && { original: there, reply: back, id, zone }
}

type TupleValues = ReturnType<typeof tuple.read>

function decodeTuple(values: TupleValues | undefined): Tuple | undefined {
  const { source4, destination4, source6, destination6 } = values?.ip ?? {}
  const source = source4 ?? source6
  const destination = destination4 ?? destination6
  if (!source || !destination) return undefined
  const { number = 0, sourcePort = 0, destinationPort = 0 } = values?.proto ?? {}
  return { source, destination, protocol: number, sourcePort, destinationPort }
}
