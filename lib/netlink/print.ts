import { host } from "../sys/host.ts"
import { type AnyKind, type Body, type Entries, eachAttribute, type Printed, viewOf, WireError } from "./attribute.ts"

/** Returns the content of a payload, attributes by the kernel's names. Throws WireError if the lengths of attributes do not fit. */
export function printBody({ header, attributes }: Body, payload: Uint8Array): object {
  if (!header) return printAttributes(attributes, payload)
  if (payload.length < header.size) throw new WireError("message cut short", payload.byteOffset)
  const rest = printAttributes(attributes, payload.subarray(header.size))
  return { header: header.print(viewOf(payload)), ...(Object.keys(rest).length > 0 && { attributes: rest }) }
}

/** Returns each attribute by its name; an unknown one by its number, with its bytes in hex. */
function printAttributes(set: Entries, bytes: Uint8Array): Printed {
  const printed: Record<string, unknown> = {}
  eachAttribute(bytes, (type, start, end) => {
    const entry = set.entryOf(type)
    const name = entry?.row[2] ?? `#${type}`
    const value = printValue(entry?.kind, bytes.subarray(start, end), printed)
    const before = printed[name]
    if (!entry?.kind.repeated) printed[name] = value
    else if (Array.isArray(before)) before.push(value)
    else printed[name] = [value]
  })
  return printed
}

function printValue(kind: AnyKind | undefined, payload: Uint8Array, before: Printed): unknown {
  if (!kind) return printHex(payload)
  try {
    const body = kind.inside?.(before)
    if (body) return printBody(body, payload)
    const value = kind.read(payload, 0, payload.length)
    return plain(kind.print ? kind.print(value as never) : value)
  } catch (error) {
    if (error instanceof WireError) return printHex(payload)
    throw error
  }
}

/** Returns the value for JSON, which has no bytes and no numbers of 64 bits. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return printHex(value)
  return typeof value === "bigint" ? value.toString() : value
}

export function printHex(bytes: Uint8Array): string {
  return host.hex(bytes, "")
}

/** Returns the kernel's name of the attribute at byte `offset` of a payload, the innermost that is known; undefined if there is none. */
export function attributeAt({ header, attributes }: Body, payload: Uint8Array, offset: number): string | undefined {
  const bytes = payload.subarray(header?.size ?? 0)
  const at = offset - (header?.size ?? 0)
  const before: Record<string, unknown> = {}
  let found: string | undefined
  eachAttribute(bytes, (type, start, end) => {
    const entry = attributes.entryOf(type)
    if (!entry || at >= end) {
      if (entry && !entry.kind.inside) before[entry.row[2]] = printValue(entry.kind, bytes.subarray(start, end), before)
    } else if (at >= start - 4) {
      const body = at >= start ? entry.kind.inside?.(before) : undefined
      found = (body && attributeAt(body, bytes.subarray(start, end), at - start)) ?? entry.row[2]
    }
  })
  return found
}

/** Returns the names of the bits that are set, as `ip -j` lists flags; bits without a name are one number at the end. */
export function flagNames(flags: Readonly<Record<string, number>>, value: number): string[] {
  const names = Object.keys(flags).filter((name) => (value & (flags[name] ?? 0)) !== 0)
  const rest = names.reduce((left, name) => left & ~(flags[name] ?? 0), value) >>> 0
  return rest === 0 ? names : [...names, `0x${rest.toString(16)}`]
}

/** Returns the name that stands for the number in `names`, or the number. */
export function nameOf(names: Readonly<Record<string, number>>, value: number): string | number {
  return Object.keys(names).find((name) => names[name] === value) ?? value
}
