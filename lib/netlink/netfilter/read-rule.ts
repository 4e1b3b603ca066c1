import { type Address, addressFromBytes } from "../../ip/address.ts"
import { BASE, COMPARE, type FoundExpression, META, NAT } from "./expression.ts"

/** The values that a rule compares with those of packets, and the destination that it gives them; others are left out. */
export interface RuleReading {
  /** IPPROTO_* */
  readonly protocol?: number
  readonly destination?: Address
  readonly destinationPort?: number
  /** The new destination that the rule gives. */
  readonly to?: Address
  readonly toPort?: number
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Attributes of the expressions that are read: see the table in expression.ts. */
interface Attributes {
  readonly target?: number
  readonly source?: number
  readonly key?: number
  readonly base?: number
  readonly offset?: number
  readonly length?: number
  readonly operation?: number
  readonly data?: { readonly value?: Uint8Array }
  readonly type?: number
  readonly addressMin?: number
  readonly portMin?: number
}

type Field = "protocol" | "destination" | "destinationPort"

/** Reads a rule's steps back, whoever wrote it. */
export function readRule(steps: readonly FoundExpression[]): RuleReading {
  const reading: Writable<RuleReading> = {}
  const loaded = new Map<number | undefined, Field>()
  const values = new Map<number | undefined, Uint8Array>()
  for (const { name, data } of steps) {
    const step: Attributes = data ?? {}
    const value = step.data?.value
    if (name === "cmp" && step.operation === COMPARE.equal && value) assign(reading, loaded.get(step.source), value)
    else if (name === "immediate" && value) values.set(step.target, value)
    else if (name === "nat" && step.type === NAT.destination)
      redirect(reading, values.get(step.addressMin), values.get(step.portMin))
    else if (step.target !== undefined) load(loaded, step.target, fieldOf(name, step))
  }
  return reading
}

function load(loaded: Map<number | undefined, Field>, register: number, field: Field | undefined): void {
  if (field) loaded.set(register, field)
  else loaded.delete(register)
}

function fieldOf(name: string, { key, base, offset, length }: Attributes): Field | undefined {
  if (name === "meta") return key === META.l4proto ? "protocol" : undefined
  if (name !== "payload") return undefined
  if (base === BASE.transport) return offset === 2 && length === 2 ? "destinationPort" : undefined
  const isAddress = (offset === 16 && length === 4) || (offset === 24 && length === 16) // in an IPv4, an IPv6 header
  return base === BASE.network && isAddress ? "destination" : undefined
}

function assign(reading: Writable<RuleReading>, field: Field | undefined, value: Uint8Array): void {
  const address = field === "destination" ? addressFromBytes(value) : undefined
  if (address) reading.destination = address
  else if (field === "protocol") reading.protocol = value[0] ?? 0
  else if (field === "destinationPort") reading.destinationPort = portIn(value)
}

function redirect(reading: Writable<RuleReading>, address: Uint8Array | undefined, port: Uint8Array | undefined): void {
  const to = address && addressFromBytes(address)
  if (to) reading.to = to
  if (port) reading.toPort = portIn(port)
}

function portIn(value: Uint8Array): number {
  return ((value[0] ?? 0) << 8) | (value[1] ?? 0)
}
