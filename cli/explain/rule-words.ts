import { type Address, addressFromBytes, formatAddress } from "../../lib/ip/address.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { text } from "../../lib/netlink/attribute.ts"
import {
  BASE,
  COMPARE,
  type Expression,
  type FoundExpression,
  META,
  NAT,
  VERDICT,
} from "../../lib/netlink/netfilter/expression.ts"
import { PROTOCOL_NAMES } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { Untold } from "./told.ts"

/** The content of a register: the words that load it, and how a value that it is compared with is said. */
interface Loaded {
  readonly words: readonly string[]
  readonly say: (value: Uint8Array, mask: Uint8Array | undefined) => string
  readonly mask?: Uint8Array
}

/** Returns the words by which `nft` makes a rule of these steps in a table of that family. Throws Untold. */
export function ruleWords(steps: readonly FoundExpression[], family: string): string[] {
  const words: string[] = []
  const values = new Map<number | undefined, Uint8Array>()
  let [loaded, protocol] = [undefined as Loaded | undefined, ""]
  for (const step of steps as readonly Expression[]) {
    if (!step.data) throw new Untold(`the step ${step.name} of a rule`)
    if (step.name === "meta" || step.name === "payload" || step.name === "fib" || step.name === "ct") {
      loaded = loadedBy(step, protocol)
    } else if (step.name === "bitwise" && loaded && step.data.mask?.value) {
      loaded = { ...loaded, mask: step.data.mask.value }
    } else if (step.name === "cmp" && loaded) {
      const comparison = compared(loaded, step.data)
      if (loaded.words.join(" ") === "meta l4proto") protocol = comparison.at(-1) ?? ""
      words.push(...comparison)
    } else if (step.name === "immediate" && step.data.data?.value) {
      values.set(step.data.target, step.data.data.value)
    } else words.push(...actionWords(step, values, family))
  }
  return words
}

type Load = Extract<Expression, { name: "meta" | "payload" | "fib" | "ct" }>

const NFPROTO: Readonly<Record<number, string>> = { 2: "ipv4", 10: "ipv6" }
const hostNumber = (value: Uint8Array) => value.reduceRight((sum, byte) => sum * 256 + byte, 0)
const hex = (value: Uint8Array) => `0x${hostNumber(value).toString(16)}`

function loadedBy(step: Load, protocol: string): Loaded {
  if (step.name === "payload") return loadedHeader(step.data, protocol)
  if (step.name === "fib") return { words: ["fib", "daddr", "type"], say: () => "local" }
  if (step.name === "ct") return loadedConnection(step.data.key)
  switch (step.data.key) {
    case META.nfproto:
      return { words: ["meta", "nfproto"], say: ([first = 0]) => NFPROTO[first] ?? String(first) }
    case META.l4proto:
      return { words: ["meta", "l4proto"], say: ([first = 0]) => PROTOCOL_NAMES[first] ?? String(first) }
    case META.iifname:
      return { words: ["iifname"], say: (value) => `"${text.read(value, 0, value.length)}"` }
    case META.oifname:
      return { words: ["oifname"], say: (value) => `"${text.read(value, 0, value.length)}"` }
    case META.mark:
      return { words: ["meta", "mark"], say: hex }
    default:
      throw new Untold(`meta ${step.data.key} in a rule`)
  }
}

function loadedHeader({ base, offset, length }: Extract<Load, { name: "payload" }>["data"], protocol: string): Loaded {
  const place = `${base} ${offset}`
  if (place === `${BASE.link} 6` && length === 6) return { words: ["ether", "saddr"], say: formatMac }
  if (place === `${BASE.transport} 2` && length === 2)
    return { words: [protocol || "th", "dport"], say: ([high = 0, low = 0]) => String(high * 256 + low) }
  const field = base === BASE.network ? ADDRESSES[offset ?? -1] : undefined
  if (!field) throw new Untold(`bytes ${place} of a packet in a rule`)
  return { words: field.split(" "), say: (value, mask) => prefixOf(value, mask, field.startsWith("ip6") ? 16 : 4) }
}

/** By their offset in the header. */
const ADDRESSES: Readonly<Record<number, string>> = { 12: "ip saddr", 16: "ip daddr", 8: "ip6 saddr", 24: "ip6 daddr" }

function prefixOf(value: Uint8Array, mask: Uint8Array | undefined, size: number): string {
  const whole = new Uint8Array(size)
  whole.set(value)
  const ones = mask?.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0)
  const length = ones ?? value.length * 8
  const address = formatAddress(addressFromBytes(whole) as Address)
  return length === size * 8 ? address : `${address}/${length}`
}

/** By NFT_CT_*: what rules ask of a connection, each as the bits that it leaves, which nft compares with none. */
const CONNECTION: Readonly<Record<number, readonly [word: string, bits: number, value: string]>> = {
  0: ["state", 0x6, "established,related"],
  2: ["status", 0x20, "dnat"],
}

function loadedConnection(key: number | undefined): Loaded {
  const [word, bits, value] = CONNECTION[key ?? -1] ?? []
  if (word === undefined || value === undefined) throw new Untold(`ct ${key} in a rule`)
  const say = (_: Uint8Array, mask: Uint8Array | undefined) => {
    if (!mask || hostNumber(mask) !== bits) throw new Untold(`other bits of ct ${word} in a rule`)
    return value
  }
  return { words: ["ct", word], say }
}

function compared(
  { words, say, mask }: Loaded,
  { operation, data }: Extract<Expression, { name: "cmp" }>["data"],
): string[] {
  const value = data?.value ?? new Uint8Array()
  const differs = operation === COMPARE.differs
  if (words[0] === "ct" && differs) return [...words, say(value, mask)]
  if (words[0] === "fib" && hostNumber(value) !== 2) throw new Untold("a type of address in a rule")
  const masked = words[1] === "mark" && mask ? ["&", hex(mask)] : []
  return [...words, ...masked, ...(differs ? ["!="] : masked.length > 0 ? ["=="] : []), say(value, mask)]
}

function actionWords(step: Expression, values: ReadonlyMap<number | undefined, Uint8Array>, family: string): string[] {
  if (step.name === "masq") return ["masquerade"]
  if (step.name === "counter") return ["counter"]
  if (step.name === "nat" && step.data.type === NAT.destination) {
    const [address, port] = [values.get(step.data.addressMin), values.get(step.data.portMin)]
    const to = address && addressFromBytes(address)
    if (!to || !port) throw new Untold("a destination of a rule")
    const where = to.family === 4 ? formatAddress(to) : `[${formatAddress(to)}]`
    const kind = family === "inet" ? [to.family === 4 ? "ip" : "ip6"] : []
    return ["dnat", ...kind, "to", `${where}:${(port[0] ?? 0) * 256 + (port[1] ?? 0)}`]
  }
  const { code, chain } = (step.name === "immediate" && step.data.data?.verdict) || {}
  const name = Object.entries(VERDICT).find(([, number]) => number === code)?.[0]
  if (name === undefined) throw new Untold(`the step ${step.name} of a rule`)
  return [name, ...(chain === undefined ? [] : [chain])]
}
