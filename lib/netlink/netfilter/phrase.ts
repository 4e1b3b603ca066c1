import { addressBytes, type Family } from "../../ip/address.ts"
import type { Mac } from "../../ip/mac.ts"
import type { Prefix } from "../../ip/prefix.ts"
import { host } from "../../sys/host.ts"
import { text } from "../attribute.ts"
import { BASE, COMPARE, type Expression, type FoundExpression, META, NAT, VERDICT } from "./expression.ts"

/**
 * The phrases of the `nft` language that rules here are made of, each as the expressions that `nft` turns it into, so that its own
 * listing reads them back: `[...ofFamily(4), ...source(4, prefix), masquerade]`. In a table of family ip, ip6 or bridge ofFamily() is left
 * out.
 */

/** NFPROTO_* */
const NFPROTO = { 4: 2, 6: 10 } as const
const NAME_BYTES = 16 // IFNAMSIZ

/** The register everything is loaded into, and for a second value the one behind it. */
const REGISTER = 1
const SECOND_REGISTER = 2

/** `nfproto ipv4`: in a table of family inet, the packet is of this family. */
export function ofFamily(family: Family): Expression[] {
  return [loadMeta("nfproto"), compare(Uint8Array.of(NFPROTO[family]))]
}

/** `ip saddr PREFIX`, `ip6 saddr != PREFIX` */
export function source(prefix: Prefix, { not = false } = {}): Expression[] {
  return addressWithin(prefix.address.family === 4 ? 12 : 8, prefix, not)
}

/** `ip daddr PREFIX`, `ip6 daddr != PREFIX` */
export function destination(prefix: Prefix, { not = false } = {}): Expression[] {
  return addressWithin(prefix.address.family === 4 ? 16 : 24, prefix, not)
}

/** Compares whole bytes as they are, other lengths through a mask of the whole address, as `nft` does. */
function addressWithin(offset: number, { address, length }: Prefix, not: boolean): Expression[] {
  const whole = addressBytes(address)
  const steps: Expression[] = []
  const size = length % 8 === 0 ? length / 8 : whole.length
  steps.push(load("network", offset, size))
  if (length % 8 !== 0) {
    const mask = maskOf(length, size)
    steps.push(bitsOf(mask))
    for (const [index, bits] of mask.entries()) whole[index] = (whole[index] ?? 0) & bits
  }
  steps.push(compare(whole.subarray(0, size), not))
  return steps
}

function maskOf(length: number, size: number): Uint8Array {
  const mask = new Uint8Array(size).fill(0xff, 0, length >> 3)
  mask[length >> 3] = 0xff00 >> (length & 7)
  return mask
}

/** `iifname NAME`, `iifname != NAME` */
export function fromInterface(name: string, { not = false } = {}): Expression[] {
  return [loadMeta("iifname"), compare(nameBytes(name), not)]
}

/** `oifname NAME`, `oifname != NAME` */
export function toInterface(name: string, { not = false } = {}): Expression[] {
  return [loadMeta("oifname"), compare(nameBytes(name), not)]
}

function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES)
  bytes.set(host.encode(name))
  return bytes
}

/** Returns the NAME of the fromInterface() that a rule begins with. */
export function interfaceIn([load, compared]: readonly FoundExpression[]): string | undefined {
  const { key } = (load?.name === "meta" ? load.data : {}) as { key?: number }
  const { data } = (compared?.name === "cmp" ? compared.data : {}) as { data?: { value?: Uint8Array } }
  return key === META.iifname && data?.value ? text.read(data.value, 0, data.value.length) : undefined
}

/** `ether saddr MAC` */
export function etherSource(mac: Mac): Expression[] {
  return [load("link", 6, 6), compare(mac)]
}

/** `meta l4proto N`: 6 is TCP, 17 UDP, 132 SCTP. */
export function ofProtocol(protocol: number): Expression[] {
  return [loadMeta("l4proto"), compare(Uint8Array.of(protocol))]
}

/** `tcp dport PORT` after ofProtocol(6), and so on. */
export function destinationPort(port: number): Expression[] {
  return [load("transport", 2, 2), compare(portBytes(port))]
}

/** `fib daddr type local`: the destination is an address of this host. */
export function toThisHost(): Expression[] {
  const FIB_RESULT_ADDRTYPE = 3
  const DADDR = 2
  const RTN_LOCAL = 2
  return [
    { name: "fib", data: { target: REGISTER, result: FIB_RESULT_ADDRTYPE, flags: DADDR } },
    compare(hostOrder(RTN_LOCAL)),
  ]
}

/** `meta mark NUMBER`, `meta mark & MASK != NUMBER` */
export function withMark(mark: number, mask: number, { not = false } = {}): Expression[] {
  const masked = mask === 0xffffffff ? [] : [bitsOf(hostOrder(mask))]
  return [loadMeta("mark"), ...masked, compare(hostOrder(mark), not)]
}

/** `ct state established,related`: the packet is of a connection that was let through before. */
export function ofConnection(): Expression[] {
  const NFT_CT_STATE = 0
  const ESTABLISHED_OR_RELATED = 2 | 4
  return [
    { name: "ct", data: { target: REGISTER, key: NFT_CT_STATE } },
    bitsOf(hostOrder(ESTABLISHED_OR_RELATED)),
    compare(hostOrder(0), true),
  ]
}

/** `ct status dnat`: the connection's destination was changed. */
export function redirected(): Expression[] {
  const NFT_CT_STATUS = 2
  const IPS_DST_NAT = 1 << 5
  return [
    { name: "ct", data: { target: REGISTER, key: NFT_CT_STATUS } },
    bitsOf(hostOrder(IPS_DST_NAT)),
    compare(hostOrder(0), true),
  ]
}

/** `dnat to ADDRESS:PORT`, in a table of family inet `dnat ip to ...`. */
export function dnat(address: Uint8Array, port: number): Expression[] {
  return [
    immediate(REGISTER, address),
    immediate(SECOND_REGISTER, portBytes(port)),
    {
      name: "nat",
      data: {
        type: NAT.destination,
        family: address.length === 4 ? NFPROTO[4] : NFPROTO[6],
        addressMin: REGISTER,
        addressMax: REGISTER,
        portMin: SECOND_REGISTER,
        portMax: SECOND_REGISTER,
      },
    },
  ]
}

/** `masquerade` */
export const masquerade: Expression = { name: "masq", data: {} }

/** `accept`, `drop`, `return` */
export function verdict(name: "accept" | "drop" | "return"): Expression {
  return { name: "immediate", data: { target: 0, data: { verdict: { code: VERDICT[name] } } } }
}

/** `jump CHAIN`, `goto CHAIN`, within the table. */
export function transfer(name: "jump" | "goto", chain: string): Expression {
  return { name: "immediate", data: { target: 0, data: { verdict: { code: VERDICT[name], chain } } } }
}

export function loadMeta(key: keyof typeof META): Expression {
  return { name: "meta", data: { target: REGISTER, key: META[key] } }
}

function load(base: keyof typeof BASE, offset: number, length: number): Expression {
  return { name: "payload", data: { target: REGISTER, base: BASE[base], offset, length } }
}

export function compare(value: Uint8Array, not = false): Expression {
  return {
    name: "cmp",
    data: { source: REGISTER, operation: not ? COMPARE.differs : COMPARE.equal, data: { value } },
  }
}

function bitsOf(mask: Uint8Array): Expression {
  const xor = { value: new Uint8Array(mask.length) }
  return {
    name: "bitwise",
    data: { source: REGISTER, target: REGISTER, length: mask.length, mask: { value: mask }, xor },
  }
}

function immediate(target: number, value: Uint8Array): Expression {
  return { name: "immediate", data: { target, data: { value } } }
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/** Returns the bytes of what the kernel compares as a number of its own, such as the mark. */
function hostOrder(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
