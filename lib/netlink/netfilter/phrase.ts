import { addressBytes, type Family } from "../../ip/address.ts"
import type { Mac } from "../../ip/mac.ts"
import type { Prefix } from "../../ip/prefix.ts"
import { host } from "../../sys/host.ts"
import { text } from "../attribute.ts"
import { Writer } from "../writer.ts"
import { BASE, COMPARE, encodeStep, type FoundExpression, META, NAT, type Step, VERDICT } from "./expression.ts"

/**
 * The phrases of the `nft` language that rules here are made of, each as the expressions that `nft` turns it into, so that its own
 * listing reads them back: `[...ofFamily(4), ...source(4, prefix), masquerade]`. In a table of family ip, ip6 or bridge ofFamily() is left
 * out. They are encoded: what always is the same lies in the heap image, the rest is put into copies of that.
 */

/** NFPROTO_* */
const NFPROTO = { 4: 2, 6: 10 } as const
const NAME_BYTES = 16 // IFNAMSIZ

/** The register everything is loaded into, and for a second value the one behind it. */
const REGISTER = 1
const SECOND_REGISTER = 2

/** A step that ends with a value, which it has yet to be given. */
interface OpenStep {
  readonly step: Step
  /** Tells where it has the lengths of the attributes that the value is in, the outermost first. */
  readonly lengths: readonly number[]
}

function openStep(step: Step): OpenStep {
  const lengths: number[] = []
  for (let at = 0; at < step.length; ) {
    const length = step[at] as number // they are short
    const isLast = at + length === step.length
    if (isLast) lengths.push(at)
    at += isLast ? 4 : (length + 3) & ~3
  }
  return { step, lengths }
}

/** Returns the step with the value, of less than 200 bytes. */
function withValue({ step, lengths }: OpenStep, value: Uint8Array): Step {
  const padded = (value.length + 3) & ~3
  const whole = new Uint8Array(step.length + padded)
  whole.set(step)
  whole.set(value, step.length)
  for (const at of lengths) whole[at] = (step[at] as number) + padded
  whole[step.length - 4] = 4 + value.length
  return whole
}

/** Returns the steps as one, for what never is without the others. */
function joined(...steps: readonly Step[]): Step {
  const writer = new Writer()
  for (const step of steps) writer.raw(step)
  return writer.bytes.slice()
}

/** Returns a copy of the steps, which end with a value of this length, with this one in its place. */
function endingWith(steps: Step, value: Uint8Array): Step {
  const copy = steps.slice()
  copy.set(value, copy.length - ((value.length + 3) & ~3))
  return copy
}

const NOTHING = { value: new Uint8Array() }
const EQUAL = openCompare(COMPARE.equal)
const DIFFERS = openCompare(COMPARE.differs)
const MARK = loadMeta("mark")
const IIFNAME = loadMeta("iifname")
const OIFNAME = loadMeta("oifname")

function openCompare(operation: number): OpenStep {
  return openStep(encodeStep({ name: "cmp", data: { source: REGISTER, operation, data: NOTHING } }))
}

function immediate(target: number, value: Uint8Array): Step {
  return encodeStep({ name: "immediate", data: { target, data: { value } } })
}

const OF_FAMILY = {
  4: [loadMeta("nfproto"), compare(Uint8Array.of(NFPROTO[4]))],
  6: [loadMeta("nfproto"), compare(Uint8Array.of(NFPROTO[6]))],
} as const

/** `nfproto ipv4`: in a table of family inet, the packet is of this family. */
export function ofFamily(family: Family): readonly Step[] {
  return OF_FAMILY[family]
}

/** `ip saddr PREFIX`, `ip6 saddr != PREFIX` */
export function source(prefix: Prefix, { not = false } = {}): Step[] {
  return addressWithin(prefix.address.family === 4 ? 12 : 8, prefix, not)
}

/** `ip daddr PREFIX`, `ip6 daddr != PREFIX` */
export function destination(prefix: Prefix, { not = false } = {}): Step[] {
  return addressWithin(prefix.address.family === 4 ? 16 : 24, prefix, not)
}

const LOAD_ADDRESS = load("network", 0, 0)
/** It ends with the attributes of offset and length, a number of four bytes each. */
const [OFFSET_AT, SIZE_AT] = [LOAD_ADDRESS.length - 9, LOAD_ADDRESS.length - 1]
const ADDRESS_EQUALS = openStep(joined(LOAD_ADDRESS, EQUAL.step))
const ADDRESS_DIFFERS = openStep(joined(LOAD_ADDRESS, DIFFERS.step))

/** Compares whole bytes as they are, other lengths through a mask of the whole address, as `nft` does. */
function addressWithin(offset: number, { address, length }: Prefix, not: boolean): Step[] {
  const whole = addressBytes(address)
  const size = length % 8 === 0 ? length / 8 : whole.length
  if (length % 8 === 0) {
    const steps = withValue(not ? ADDRESS_DIFFERS : ADDRESS_EQUALS, whole.subarray(0, size))
    return [loading(steps, offset, size)]
  }
  const mask = maskOf(length, size)
  for (const [index, bits] of mask.entries()) whole[index] = (whole[index] ?? 0) & bits
  return [loading(LOAD_ADDRESS.slice(), offset, size), bitsOf(mask), compare(whole, not)]
}

/** Has steps that begin with LOAD_ADDRESS load these bytes of the packet. */
function loading(steps: Step, offset: number, size: number): Step {
  steps[OFFSET_AT] = offset
  steps[SIZE_AT] = size
  return steps
}

function maskOf(length: number, size: number): Uint8Array {
  const mask = new Uint8Array(size).fill(0xff, 0, length >> 3)
  mask[length >> 3] = 0xff00 >> (length & 7)
  return mask
}

/** `iifname NAME`, `iifname != NAME` */
export function fromInterface(name: string, { not = false } = {}): Step[] {
  return [IIFNAME, compare(nameBytes(name), not)]
}

/** `oifname NAME`, `oifname != NAME` */
export function toInterface(name: string, { not = false } = {}): Step[] {
  return [OIFNAME, compare(nameBytes(name), not)]
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
export function etherSource(mac: Mac): Step[] {
  return [load("link", 6, 6), compare(mac)]
}

const L4PROTO = joined(loadMeta("l4proto"), compare(new Uint8Array(1)))

/** `meta l4proto N`: 6 is TCP, 17 UDP, 132 SCTP. */
export function ofProtocol(protocol: number): Step[] {
  return [endingWith(L4PROTO, Uint8Array.of(protocol))]
}

const PORT = joined(load("transport", 2, 2), compare(new Uint8Array(2)))

/** `tcp dport PORT` after ofProtocol(6), and so on. */
export function destinationPort(port: number): Step[] {
  return [endingWith(PORT, portBytes(port))]
}

const TO_THIS_HOST = [
  joined(
    // FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR is RTN_LOCAL
    encodeStep({ name: "fib", data: { target: REGISTER, result: 3, flags: 2 } }),
    compare(hostOrder(2)),
  ),
]

/** `fib daddr type local`: the destination is an address of this host. */
export function toThisHost(): readonly Step[] {
  return TO_THIS_HOST
}

/** `meta mark NUMBER`, `meta mark & MASK != NUMBER` */
export function withMark(mark: number, mask: number, { not = false } = {}): Step[] {
  const masked = mask === 0xffffffff ? [] : [bitsOf(hostOrder(mask))]
  return [MARK, ...masked, compare(hostOrder(mark), not)]
}

const ESTABLISHED_OR_RELATED = 2 | 4
const OF_CONNECTION = withBits(0, ESTABLISHED_OR_RELATED) // NFT_CT_STATE

/** `ct state established,related`: the packet is of a connection that was let through before. */
export function ofConnection(): readonly Step[] {
  return OF_CONNECTION
}

const IPS_DST_NAT = 1 << 5
const REDIRECTED = withBits(2, IPS_DST_NAT) // NFT_CT_STATUS

/** `ct status dnat`: the connection's destination was changed. */
export function redirected(): readonly Step[] {
  return REDIRECTED
}

/** Returns the steps that let pass what has one of these bits in that number of its connection. */
function withBits(key: number, bits: number): Step[] {
  const loaded = encodeStep({ name: "ct", data: { target: REGISTER, key } })
  return [joined(loaded, bitsOf(hostOrder(bits)), compare(hostOrder(0), true))]
}

const DNAT_ADDRESS = { 4: immediate(REGISTER, new Uint8Array(4)), 6: immediate(REGISTER, new Uint8Array(16)) }
const DNAT_PORT = immediate(SECOND_REGISTER, new Uint8Array(2))
const DNAT = { 4: dnatOf(NFPROTO[4]), 6: dnatOf(NFPROTO[6]) }

function dnatOf(family: number): Step {
  const [address, port] = [REGISTER, SECOND_REGISTER]
  return encodeStep({
    name: "nat",
    data: {
      ...{ type: NAT.destination, family },
      ...{ addressMin: address, addressMax: address, portMin: port, portMax: port },
      flags: 1 | 2, // NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED, as the kernel itself adds
    },
  })
}

/** `dnat to ADDRESS:PORT`, in a table of family inet `dnat ip to ...`. */
export function dnat(address: Uint8Array, port: number): Step[] {
  const family = address.length === 4 ? 4 : 6
  return [endingWith(DNAT_ADDRESS[family], address), endingWith(DNAT_PORT, portBytes(port)), DNAT[family]]
}

/** `masquerade` */
export const masquerade = encodeStep({ name: "masq", data: {} })

/** `accept`, `drop`, `return` */
export function verdict(name: "accept" | "drop" | "return"): Step {
  return encodeStep({ name: "immediate", data: { target: 0, data: { verdict: { code: VERDICT[name] } } } })
}

/** `jump CHAIN`, `goto CHAIN`, within the table. */
export function transfer(name: "jump" | "goto", chain: string): Step {
  return encodeStep({ name: "immediate", data: { target: 0, data: { verdict: { code: VERDICT[name], chain } } } })
}

export function loadMeta(key: keyof typeof META): Step {
  return encodeStep({ name: "meta", data: { key: META[key], target: REGISTER } })
}

function load(base: keyof typeof BASE, offset: number, length: number): Step {
  return encodeStep({ name: "payload", data: { target: REGISTER, base: BASE[base], offset, length } })
}

export function compare(value: Uint8Array, not = false): Step {
  return withValue(not ? DIFFERS : EQUAL, value)
}

function bitsOf(mask: Uint8Array): Step {
  const [value, none] = [{ value: mask }, { value: new Uint8Array(mask.length) }]
  return encodeStep({
    name: "bitwise",
    data: {
      ...{ source: REGISTER, target: REGISTER, length: mask.length, operation: 0 }, // NFT_BITWISE_MASK_XOR
      ...{ mask: value, xor: none },
    },
  })
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/** Returns the bytes of what the kernel compares as a number of its own, such as the mark. */
function hostOrder(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
