import { host } from "../../lib/sys/host.ts"

const HEADER = 12
const [TYPE_A, TYPE_NS, CLASS_IN] = [1, 2, 1]
const RECURSION_DESIRED = 0x0100
const IS_RESPONSE = 0x80

/** A nameserver's answer to a question in four bits (RFC 1035): their names in dig. */
const codes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"] as const

/** A question to a nameserver. */
export interface Query {
  /** Without the dot at the end; the empty name is the root's, whose nameservers are asked for. */
  readonly name: string
  readonly packet: Uint8Array
}

/** Returns the question for a name's addresses, or for the root's nameservers; undefined if no name is written like that. */
export function encodeQuery(id: number, name: string): Query | undefined {
  const labels = name === "" ? [] : name.split(".").map((label) => host.encode(label))
  if (labels.some(({ length }) => length === 0 || length > 63) || name.length > 250) return undefined
  const question = labels.flatMap((label) => [label.length, ...label])
  const type = name === "" ? TYPE_NS : TYPE_A
  const header = [id >> 8, id & 0xff, RECURSION_DESIRED >> 8, 0, 0, 1, 0, 0, 0, 0, 0, 0]
  return { name, packet: new Uint8Array([...header, ...question, 0, 0, type, 0, CLASS_IN]) }
}

/** Returns the code that a packet answers the question with, by dig's name; undefined if it is no answer to it. */
export function decodeAnswer(packet: Uint8Array, { packet: query }: Query): string | undefined {
  const [first, second, flags = 0, more = 0, questions, few] = packet
  if (packet.length < HEADER || (flags & IS_RESPONSE) === 0) return undefined
  if (first !== query[0] || second !== query[1]) return undefined
  const code = more & 0x0f
  const isRepeated = questions === 0 && few === 1 && repeats(packet, query)
  const isLeftOut = questions === 0 && few === 0 && code !== 0 // as of those that could not read it
  return isRepeated || isLeftOut ? (codes[code] ?? `RESERVED${code}`) : undefined
}

/** Says if the question is the same, but for the case of its letters. */
function repeats(packet: Uint8Array, query: Uint8Array): boolean {
  if (packet.length < query.length) return false
  for (let at = HEADER; at < query.length; at++) if (lower(packet[at]) !== lower(query[at])) return false
  return true
}

function lower(byte = 0): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
}
