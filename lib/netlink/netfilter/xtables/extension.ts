import { type Address, addressBytes, addressFromBytes, bits, type Family } from "../../../ip/address.ts"
import { host } from "../../../sys/host.ts"
import { Writer } from "../../writer.ts"
import { PROTOCOL_NAMES } from "./rule.ts"

/** A match or target in the revision that iptables uses, and its structure with the padding that it has there (XT_ALIGN). */
export interface Extension<Value> {
  readonly name: string
  readonly revision: number
  readonly write: (value: Value) => Uint8Array
  /** The only value of which write() can have made these bytes, which may still be other ones. */
  readonly read: (info: Uint8Array) => Value | undefined
}

/** Makes an extension that says a single thing: its structure is always the same. */
function constant(name: string, revision: number, size: number, content: Writer): Extension<true> {
  const info = structure(size, content)
  return { name, revision, write: () => info, read: () => true }
}

function structure(size: number, content: Writer): Uint8Array {
  const info = new Uint8Array(size)
  info.set(content.bytes)
  return info
}

/** The bytes that a comment of iptables may have. */
export const MAX_COMMENT_BYTES = 255

/** char[256] */
export const comment: Extension<string> = {
  name: "comment",
  revision: 0,
  write(value) {
    const text = host.encode(value)
    if (text.length > MAX_COMMENT_BYTES) throw new RangeError(`comment of ${text.length} bytes`)
    return structure(256, new Writer().raw(text))
  },
  read(info) {
    const end = info.indexOf(0)
    const value = end < 0 ? undefined : host.decode(info.subarray(0, end))
    // What is not UTF-8 is longer when it is decoded.
    return value === undefined || host.encode(value).length > MAX_COMMENT_BYTES ? undefined : value
  },
}

/** struct xt_conntrack_mtinfo3: by XT_CONNTRACK_STATE, ESTABLISHED or RELATED. */
export function established(): Extension<true> {
  return constant(
    "conntrack",
    3,
    168,
    new Writer()
      .raw(new Uint8Array(146))
      .u16(1)
      .u16(0)
      .u16(2 | 4),
  )
}

/** struct xt_addrtype_info_v1: the destination is RTN_LOCAL. */
export function toThisHost(): Extension<true> {
  return constant("addrtype", 1, 8, new Writer().u16(0).u16(1 << 2))
}

const XT_MULTI_PORTS = 15

/** struct xt_multiport_v1: XT_MULTIPORT_DESTINATION, count, ports. */
export const destinationPorts: Extension<readonly number[]> = {
  name: "multiport",
  revision: 1,
  write(ports) {
    if (ports.length > XT_MULTI_PORTS) throw new RangeError(`${ports.length} ports in one rule`)
    const writer = new Writer().u8(1).u8(ports.length)
    for (const port of ports) writer.u16(port)
    return structure(48, writer)
  },
  read(info) {
    const count = Math.min(info[1] ?? 0, XT_MULTI_PORTS)
    return Array.from({ length: count }, (_, index) => u16At(info, 2 + 2 * index))
  },
}

/** struct xt_mark_mtinfo1: mark and mask. */
export const marked: Extension<number> = ofBits("mark", 1, 16)

/** struct xt_mark_tginfo2: mark and mask. */
export const setMark: Extension<number> = ofBits("MARK", 2, 8)

function ofBits(name: string, revision: number, size: number): Extension<number> {
  return {
    name,
    revision,
    write: (value) => structure(size, new Writer().u32(value).u32(value)),
    read: (info) => (u16At(info, 0) | (u16At(info, 2) << 16)) >>> 0,
  }
}

/** Returns the match of that protocol for a port; throws RangeError if it is none of those that have ports. */
export function destinationPort(protocol: number | undefined): Extension<number> {
  const name = PROTOCOL_NAMES[protocol ?? 0]
  if (name === undefined) throw new RangeError(`a port of protocol ${protocol}`)
  return name === "sctp" ? sctpPort : tcpOrUdpPort(name)
}

/** struct xt_tcp, struct xt_udp: source ports and destination ports, the first and the last of each. What follows is zero. */
function tcpOrUdpPort(name: string): Extension<number> {
  return {
    name,
    revision: 0,
    write: (port) => structure(16, new Writer().u16(0).u16(0xffff).u16(port).u16(port)),
    read: (info) => u16At(info, 4),
  }
}

/** struct xt_sctp_info: as before, the destination first; then what it asks of chunks, which is nothing; XT_SCTP_DEST_PORTS. */
const sctpPort: Extension<number> = {
  name: "sctp",
  revision: 0,
  write(port) {
    const writer = new Writer().u16(port).u16(port).raw(new Uint8Array(264))
    for (let flag = 0; flag < 4; flag++) writer.u8(0xff).u16(0)
    return structure(296, writer.u32(0).u32(2))
  },
  read: (info) => u16At(info, 0),
}

/** struct nf_nat_ipv4_multi_range_compat with one range, struct nf_nat_range: any address, any port. */
export function masquerade(family: Family): Extension<true> {
  return constant("MASQUERADE", 0, family === 4 ? 24 : 40, new Writer().u32(family === 4 ? 1 : 0))
}

interface Endpoint {
  readonly address: Address
  readonly port: number
}

/** struct nf_nat_range2: NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED; addresses and ports, the first and the last of each. */
export function dnat(family: Family): Extension<Endpoint> {
  return {
    name: "DNAT",
    revision: 2,
    write({ address, port }) {
      const bytes = structure(16, new Writer().raw(addressBytes(address)))
      return structure(
        48,
        new Writer()
          .u32(1 | 2)
          .raw(bytes)
          .raw(bytes)
          .be16(port)
          .be16(port),
      )
    },
    read(info) {
      const address = addressFromBytes(info.subarray(4, 4 + bits(family) / 8))
      return address && { address, port: ((info[36] ?? 0) << 8) | (info[37] ?? 0) }
    },
  }
}

function u16At(info: Uint8Array, at: number): number {
  return (info[at] ?? 0) | ((info[at + 1] ?? 0) << 8)
}
