import { addressFromBytes, bits, type Family } from "../../../ip/address.ts"
import type { Prefix } from "../../../ip/prefix.ts"
import { sameBytes } from "../../../sys/bytes.ts"
import { eachAttribute, findAttribute, text } from "../../attribute.ts"
import { BASE, COMPARE, type Expression, META, VERDICT } from "../expression.ts"
import type { FoundRule } from "../rule.ts"
import * as extension from "./extension.ts"
import { type Action, type IptablesRule, PROTOCOL_NAMES } from "./rule.ts"

type Reading = { -readonly [Key in keyof IptablesRule]?: IptablesRule[Key] }

type Data<Name extends Expression["name"]> = Extract<Expression, { name: Name }>["data"]

/** The content of the register that was loaded last. */
interface Loaded {
  readonly register: number | undefined
  readonly field: "source" | "destination" | "fromInterface" | "toInterface" | "protocol" | "destinationPort" | "marked"
  readonly length?: number | undefined
  readonly mask?: Uint8Array | undefined
}

/** Reads a rule of any iptables 1.8; returns undefined if the rule says anything that an IptablesRule cannot say. */
export function decodeIptablesRule(
  found: Pick<FoundRule, "comment" | "expressions">,
  family: Family,
): IptablesRule | undefined {
  const reading: Reading = found.comment === undefined ? {} : { comment: found.comment } // where the first versions keep it
  let loaded: Loaded | undefined
  for (const step of found.expressions() as readonly Expression[]) {
    if (step.name === "meta" || step.name === "payload") {
      loaded = step.name === "meta" ? loadedMeta(step.data) : loadedPayload(step.data, family)
    } else if (step.name === "bitwise") {
      loaded = masked(loaded, step.data)
    } else if (step.name !== "counter" && !understands(reading, step, loaded, family)) return undefined
  }
  const { action } = reading
  return action && { ...reading, action }
}

/** NFTA_EXPR_DATA, NFTA_MATCH_NAME, NFTA_MATCH_INFO */
const [EXPR_DATA, MATCH_NAME, MATCH_INFO] = [2, 1, 3]
/** The first two letters of `multiport`: no other match has them. */
const [M, U] = [0x6d, 0x75]

/**
 * Returns the ports that a rule asks for by `-m multiport --dports`, undefined if it does not. `steps` are its NFTA_RULE_EXPRESSIONS, which are
 * not decoded: a chain may have a rule for each pod of the node.
 */
export function destinationPortsIn(steps: Uint8Array): readonly number[] | undefined {
  let ports: readonly number[] | undefined
  eachAttribute(steps, (_, start, end) => {
    const data = findAttribute(steps.subarray(start, end), EXPR_DATA) ?? new Uint8Array()
    const name = findAttribute(data, MATCH_NAME)
    if (name?.[0] !== M || name[1] !== U) return
    const { revision } = extension.destinationPorts
    ports = valueIn(extension.destinationPorts, {
      name: text.read(name, 0, name.length),
      revision,
      info: findAttribute(data, MATCH_INFO),
    })
  })
  return ports
}

/** Adds the condition or action of the step to `reading`. Returns false if it is unknown. */
function understands(reading: Reading, step: Expression, loaded: Loaded | undefined, family: Family): boolean {
  if (step.name === "cmp") return loaded !== undefined && compares(reading, loaded, step.data, family)
  if (step.name === "match") return matches(reading, step.data)
  if (step.name === "immediate") return assign(reading, "action", verdictIn(step.data))
  return step.name === "target" && assign(reading, "action", targetIn(step.data, family))
}

/** Sets the value. Returns false for a second one: iptables says nothing twice. */
function assign<Key extends keyof Reading>(reading: Reading, key: Key, value: Reading[Key]): boolean {
  if (value === undefined || reading[key] !== undefined) return false
  reading[key] = value
  return true
}

const metaFields = {
  [META.iifname]: "fromInterface",
  [META.oifname]: "toInterface",
  [META.l4proto]: "protocol",
  [META.mark]: "marked",
} as const satisfies Record<number, Loaded["field"]>

function loadedMeta({ key, target: register }: Data<"meta">): Loaded | undefined {
  const field = (metaFields as Readonly<Record<number, Loaded["field"]>>)[key ?? -1]
  return field && { field, register }
}

function loadedPayload(data: Data<"payload">, family: Family): Loaded | undefined {
  const field = fieldAt(data, family)
  return field && { field, length: data.length, register: data.target }
}

/** Returns the field at this offset of the header of IPv4 or IPv6, or of the next header. */
function fieldAt({ base, offset, length }: Data<"payload">, family: Family): Loaded["field"] | undefined {
  if (base === BASE.transport) return offset === 2 && length === 2 ? "destinationPort" : undefined
  if (base !== BASE.network) return undefined
  if (offset === (family === 4 ? 12 : 8)) return "source"
  if (offset === (family === 4 ? 16 : 24)) return "destination"
  return family === 4 && offset === 9 && length === 1 ? "protocol" : undefined
}

function masked(loaded: Loaded | undefined, { source, target, mask, xor }: Data<"bitwise">): Loaded | undefined {
  const only = loaded?.register === source && source === target && xor?.value?.every((byte) => byte === 0)
  return only ? loaded && { ...loaded, mask: mask?.value } : undefined
}

function compares(reading: Reading, loaded: Loaded, cmp: Data<"cmp">, family: Family): boolean {
  const { register, field, length, mask } = loaded
  const { source, operation, data } = cmp
  const value = data?.value
  if (source !== register || !value || (length !== undefined && length !== value.length)) return false
  const equal = operation === COMPARE.equal
  if (!equal && operation !== COMPARE.differs) return false
  if (field === "source" || field === "destination") {
    const key = equal ? field : field === "source" ? "notSource" : "notDestination"
    return assign(reading, key, prefixIn(value, mask, family))
  }
  if (field === "marked")
    return equal && mask !== undefined && sameBytes(mask, value) && assign(reading, field, numberIn(value))
  if (mask) return false
  if (field === "fromInterface" || field === "toInterface") {
    const key = equal ? field : field === "fromInterface" ? "notFromInterface" : "notToInterface"
    return assign(reading, key, value.includes(0) ? text.read(value, 0, value.length) : undefined) // without NUL it is `cni+`
  }
  return equal && assign(reading, field, numberIn(value.slice().reverse()))
}

/** Reads as many bytes of an address as the prefix has, or all of them behind a mask. */
function prefixIn(value: Uint8Array, mask: Uint8Array | undefined, family: Family): Prefix | undefined {
  const size = bits(family) / 8
  if (value.length > size || (mask && mask.length !== size)) return undefined
  const whole = new Uint8Array(size)
  whole.set(value)
  const address = addressFromBytes(whole)
  const length = mask ? lengthOf(mask) : value.length * 8
  return address && length !== undefined ? { address, length } : undefined
}

/** Counts the ones that the mask begins with; undefined if others follow. */
function lengthOf(mask: Uint8Array): number | undefined {
  const digits = Array.from(mask, (byte) => byte.toString(2).padStart(8, "0")).join("")
  return /^1*0*$/.test(digits) ? digits.lastIndexOf("1") + 1 : undefined
}

function matches(reading: Reading, data: Data<"match">): boolean {
  const { name } = data
  if (name === "comment") return assign(reading, "comment", commentIn(data))
  if (name === "conntrack") return assign(reading, "established", valueIn(extension.established(), data))
  if (name === "multiport") return assign(reading, "destinationPorts", valueIn(extension.destinationPorts, data))
  if (name === "addrtype") return assign(reading, "toThisHost", valueIn(extension.toThisHost(), data))
  if (name === "mark") return assign(reading, "marked", valueIn(extension.marked, data))
  if (name === undefined || PROTOCOL_NAMES[reading.protocol ?? 0] !== name) return false
  return assign(reading, "destinationPort", valueIn(extension.destinationPort(reading.protocol), data))
}

/** Of a comment nobody reads what is behind its end. */
function commentIn({ revision, info }: Data<"match">): string | undefined {
  return info && revision === extension.comment.revision ? extension.comment.read(info) : undefined
}

function targetIn(data: Data<"target">, family: Family): Action | undefined {
  const mark = valueIn(extension.setMark, data)
  if (mark !== undefined) return { mark }
  if (valueIn(extension.masquerade(family), data)) return { masquerade: true }
  const dnat = valueIn(extension.dnat(family), data)
  return dnat && { dnat }
}

function verdictIn({ data }: Data<"immediate">): Action | undefined {
  const { code, chain } = data?.verdict ?? {}
  if (code === VERDICT.jump) return chain === undefined ? undefined : { jump: chain }
  const verdict = (["accept", "drop", "return"] as const).find((name) => VERDICT[name] === code)
  return verdict && { verdict }
}

/** Returns the value if this is that extension and its structure says no more than the value. */
function valueIn<Value>(
  { name, revision, read, write }: extension.Extension<Value>,
  found: Data<"match">,
): Value | undefined {
  if (found.name !== name || found.revision !== revision || !found.info) return undefined
  const value = read(found.info)
  return value !== undefined && sameBytes(write(value), found.info) ? value : undefined
}

/** Reads a number in the order of the host. */
function numberIn(value: Uint8Array): number {
  return value.reduceRight((number, byte) => number * 256 + byte, 0)
}
