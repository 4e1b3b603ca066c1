import { type Fields, readFields } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import { BASE, COMPARE, type FoundExpression, META, NAT, VERDICT } from "../../lib/netlink/netfilter/expression.ts"
import { within } from "./told.ts"

/*
 * The trace prints the steps of a rule by the kernel's names. Here they become again what they were, so that whoever knows rules can read
 * them.
 */

type Reading = readonly [key: string, read: (value: Json) => unknown]

const asIs = (value: Json) => (typeof value === "string" ? Number(value) : value)
const byName = (names: Readonly<Record<string, number>>) => (value: Json) =>
  typeof value === "string" ? names[value] : value

const ATTRIBUTES: Readonly<Record<string, Reading>> = {
  NFTA_META_DREG: ["target", asIs],
  NFTA_META_SREG: ["source", asIs],
  NFTA_META_KEY: ["key", byName(META)],
  NFTA_PAYLOAD_DREG: ["target", asIs],
  NFTA_PAYLOAD_BASE: ["base", byName(BASE)],
  NFTA_PAYLOAD_OFFSET: ["offset", asIs],
  NFTA_PAYLOAD_LEN: ["length", asIs],
  NFTA_CMP_SREG: ["source", asIs],
  NFTA_CMP_OP: ["operation", byName(COMPARE)],
  NFTA_CMP_DATA: ["data", dataIn],
  NFTA_BITWISE_SREG: ["source", asIs],
  NFTA_BITWISE_DREG: ["target", asIs],
  NFTA_BITWISE_LEN: ["length", asIs],
  NFTA_BITWISE_MASK: ["mask", dataIn],
  NFTA_BITWISE_XOR: ["xor", dataIn],
  NFTA_IMMEDIATE_DREG: ["target", asIs],
  NFTA_IMMEDIATE_DATA: ["data", dataIn],
  NFTA_FIB_DREG: ["target", asIs],
  NFTA_FIB_RESULT: ["result", asIs],
  NFTA_FIB_FLAGS: ["flags", asIs],
  NFTA_CT_DREG: ["target", asIs],
  NFTA_CT_KEY: ["key", asIs],
  NFTA_NAT_TYPE: ["type", byName(NAT)],
  NFTA_NAT_FAMILY: ["family", asIs],
  NFTA_NAT_REG_ADDR_MIN: ["addressMin", asIs],
  NFTA_NAT_REG_ADDR_MAX: ["addressMax", asIs],
  NFTA_NAT_REG_PROTO_MIN: ["portMin", asIs],
  NFTA_NAT_REG_PROTO_MAX: ["portMax", asIs],
  NFTA_COUNTER_BYTES: ["bytes", asIs],
  NFTA_COUNTER_PACKETS: ["packets", asIs],
  NFTA_MATCH_NAME: ["name", String],
  NFTA_MATCH_REV: ["revision", asIs],
  NFTA_MATCH_INFO: ["info", bytesIn],
  NFTA_TARGET_NAME: ["name", String],
  NFTA_TARGET_REV: ["revision", asIs],
  NFTA_TARGET_INFO: ["info", bytesIn],
}

/** Returns the steps of a rule's NFTA_RULE_EXPRESSIONS; one without data if it has attributes that are not known. */
export function stepsIn(rule: Fields): FoundExpression[] {
  const steps = rule.fields("NFTA_RULE_EXPRESSIONS")?.list("NFTA_LIST_ELEM", readFields) ?? []
  return steps.map((step) => ({ name: step.string("NFTA_EXPR_NAME") ?? "", data: dataOf(step) }))
}

/**
 * Attributes that newer kernels add, with the values that all rules here imply: NFT_BITWISE_MASK_XOR, and NF_NAT_RANGE_MAP_IPS with
 * NF_NAT_RANGE_PROTO_SPECIFIED.
 */
const IMPLIED: Readonly<Record<string, number>> = { NFTA_BITWISE_OP: 0, NFTA_NAT_FLAGS: 3 }

function dataOf(step: Fields): object | undefined {
  const data: Record<string, unknown> = {}
  for (const [name, value] of step.record("NFTA_EXPR_DATA", (each) => each) ?? []) {
    if (IMPLIED[name] === value) continue
    const reading = ATTRIBUTES[name]
    if (!reading) return undefined
    data[reading[0]] = reading[1](value)
  }
  return data
}

function dataIn(value: Json): object {
  const fields = readFields(value, "")
  if (!fields.has("NFTA_DATA_VERDICT")) return { value: bytesIn(fields.string("NFTA_DATA_VALUE") ?? "") }
  const verdict = within(fields, "NFTA_DATA_VERDICT")
  const code = byName(VERDICT)(verdict.get("NFTA_VERDICT_CODE") ?? null)
  return { verdict: { code, chain: verdict.string("NFTA_VERDICT_CHAIN") } }
}

/** Reads bytes that were printed in hex. */
export function bytesIn(value: Json): Uint8Array {
  const digits = typeof value === "string" ? value : ""
  const bytes = new Uint8Array(digits.length / 2)
  for (const at of bytes.keys()) bytes[at] = Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16)
  return bytes
}
