import { sameBytes } from "../../sys/bytes.ts"
import { host } from "../../sys/host.ts"
import {
  attributeSet,
  be32,
  be64,
  bytes,
  chosen,
  encode,
  type Kind,
  nested,
  printed,
  signedBe32,
  text,
} from "../attribute.ts"
import { nameOf } from "../print.ts"
import { Writer } from "../writer.ts"

/** NF_* and NFT_* verdicts, enum nft_meta_keys, enum nft_payload_bases, enum nft_cmp_ops, enum nft_nat_types. */
export const VERDICT = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const
export const META = { mark: 3, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const
export const BASE = { link: 0, network: 1, transport: 2 } as const
export const COMPARE = { equal: 0, differs: 1 } as const
export const NAT = { destination: 1 } as const

/** Returns the kind of a number that is printed by its name in `nft`. */
function named(kind: Kind<number>, names: Readonly<Record<string, number>>): Kind<number> {
  return printed(kind, (value) => nameOf(names, value))
}

/** Returns the kind without NLA_F_NESTED, which the kernel leaves out where it lists rules. */
function unmarked<Value>({ nested: _, ...kind }: Kind<Value>): Kind<Value> {
  return kind
}

/** NFTA_VERDICT_* */
const verdict = attributeSet({
  code: [1, named(signedBe32, VERDICT), "NFTA_VERDICT_CODE"],
  chain: [2, text, "NFTA_VERDICT_CHAIN"],
})

/** NFTA_DATA_*: a value, or a verdict on the packet. */
export const data = attributeSet({
  value: [1, bytes, "NFTA_DATA_VALUE"],
  verdict: [2, unmarked(nested(verdict)), "NFTA_DATA_VERDICT"],
})

const inner = unmarked(nested(data))

/**
 * NFTA_PAYLOAD_*, NFTA_CMP_* ... of linux/netfilter/nf_tables.h: the expressions that rules here are made of, by the kernel's name. Attributes
 * stand in the order in which the kernel lists them.
 */
const expressions = {
  meta: attributeSet({
    key: [2, named(be32, META), "NFTA_META_KEY"],
    target: [1, be32, "NFTA_META_DREG"],
    source: [3, be32, "NFTA_META_SREG"],
  }),
  payload: attributeSet({
    target: [1, be32, "NFTA_PAYLOAD_DREG"],
    base: [2, named(be32, BASE), "NFTA_PAYLOAD_BASE"],
    offset: [3, be32, "NFTA_PAYLOAD_OFFSET"],
    length: [4, be32, "NFTA_PAYLOAD_LEN"],
  }),
  cmp: attributeSet({
    source: [1, be32, "NFTA_CMP_SREG"],
    operation: [2, named(be32, COMPARE), "NFTA_CMP_OP"],
    data: [3, inner, "NFTA_CMP_DATA"],
  }),
  bitwise: attributeSet({
    source: [1, be32, "NFTA_BITWISE_SREG"],
    target: [2, be32, "NFTA_BITWISE_DREG"],
    length: [3, be32, "NFTA_BITWISE_LEN"],
    operation: [6, be32, "NFTA_BITWISE_OP"],
    mask: [4, inner, "NFTA_BITWISE_MASK"],
    xor: [5, inner, "NFTA_BITWISE_XOR"],
  }),
  immediate: attributeSet({ target: [1, be32, "NFTA_IMMEDIATE_DREG"], data: [2, inner, "NFTA_IMMEDIATE_DATA"] }),
  fib: attributeSet({
    target: [1, be32, "NFTA_FIB_DREG"],
    result: [2, be32, "NFTA_FIB_RESULT"],
    flags: [3, be32, "NFTA_FIB_FLAGS"],
  }),
  ct: attributeSet({ target: [1, be32, "NFTA_CT_DREG"], key: [2, be32, "NFTA_CT_KEY"] }),
  nat: attributeSet({
    type: [1, named(be32, NAT), "NFTA_NAT_TYPE"],
    family: [2, be32, "NFTA_NAT_FAMILY"],
    addressMin: [3, be32, "NFTA_NAT_REG_ADDR_MIN"],
    addressMax: [4, be32, "NFTA_NAT_REG_ADDR_MAX"],
    portMin: [5, be32, "NFTA_NAT_REG_PROTO_MIN"],
    portMax: [6, be32, "NFTA_NAT_REG_PROTO_MAX"],
    flags: [7, be32, "NFTA_NAT_FLAGS"],
  }),
  masq: attributeSet({}),
  lookup: attributeSet({
    set: [1, text, "NFTA_LOOKUP_SET"],
    source: [2, be32, "NFTA_LOOKUP_SREG"],
    target: [3, be32, "NFTA_LOOKUP_DREG"],
    flags: [5, be32, "NFTA_LOOKUP_FLAGS"],
  }),
  counter: attributeSet({ bytes: [1, be64, "NFTA_COUNTER_BYTES"], packets: [2, be64, "NFTA_COUNTER_PACKETS"] }),
  /** Extensions of xtables, with a structure that is their own. */
  match: attributeSet({
    name: [1, text, "NFTA_MATCH_NAME"],
    revision: [2, be32, "NFTA_MATCH_REV"],
    info: [3, bytes, "NFTA_MATCH_INFO"],
  }),
  target: attributeSet({
    name: [1, text, "NFTA_TARGET_NAME"],
    revision: [2, be32, "NFTA_TARGET_REV"],
    info: [3, bytes, "NFTA_TARGET_INFO"],
  }),
} as const

type Known = typeof expressions

/** One step of a rule, with the values of its attributes. */
export type Expression = {
  readonly [Name in keyof Known]: { readonly name: Name; readonly data: ReturnType<Known[Name]["read"]> }
}[keyof Known]

/** One step as the kernel has it: without values if it is none of those above. */
export interface FoundExpression {
  readonly name: string
  readonly data: object | undefined
}

/** A step as it is written: an NFTA_LIST_ELEM, byte for byte as the kernel lists it, or several that belong together. */
export type Step = Uint8Array

interface AnySet {
  readonly write: (writer: Writer, values: never) => void
  readonly read: (bytes: Uint8Array) => object
}

const sets: Readonly<Record<string, AnySet | undefined>> = expressions

/** NFTA_EXPR_* */
const element = attributeSet({
  name: [1, text, "NFTA_EXPR_NAME"],
  data: [2, chosen("NFTA_EXPR_NAME", expressions), "NFTA_EXPR_DATA"],
})

/** One NFTA_LIST_ELEM among a rule's expressions. */
const expression: Kind<Expression | FoundExpression> & { repeated: true } = {
  repeated: true,
  inside: () => ({ attributes: element }),
  write(writer, { name, data: values }) {
    const own = new Writer()
    sets[name]?.write(own, values as never)
    element.write(writer, { name, data: own.bytes })
  },
  read(bytes, start, end) {
    const { name = "", data: values = new Uint8Array() } = element.read(bytes, start, end)
    return { name, data: sets[name]?.read(values) }
  },
}

/** NFTA_RULE_EXPRESSIONS: the steps of a rule in their order. */
export const expressionList = attributeSet({ steps: [1, expression, "NFTA_LIST_ELEM"] })

/** Returns the step, encoded. What no packet or pod decides is encoded once, when the heap image is made. */
export function encodeStep(step: Expression): Step {
  return encode(expressionList, { steps: [step] }).slice()
}

/** Decodes steps that lie one behind the other: NFTA_RULE_EXPRESSIONS. */
export function decodeSteps(steps: Uint8Array): readonly FoundExpression[] {
  return expressionList.read(steps).steps ?? []
}

/** A rule that is there, as far as it is compared: its NFTA_RULE_EXPRESSIONS. */
interface Comparable {
  readonly steps: Uint8Array
}

/** Returns true if the rule has these steps and no others, byte for byte: false is not certain, since another kernel may list them with more attributes. */
export function isWritten({ steps }: Comparable, wanted: readonly Step[]): boolean {
  let at = 0
  for (const step of wanted) {
    if (!host.hasBytes(steps, at, step)) return false
    at += step.length
  }
  return at === steps.length
}

/** Returns true if one of the rules has these steps and no others. */
export function isAmong(rules: readonly Comparable[], wanted: readonly Step[]): boolean {
  return rules.some((rule) => isWritten(rule, wanted)) || rules.some((rule) => isMadeOf(rule, wanted))
}

/** Returns true if the rule has these steps and no others, attribute by attribute. */
export function isMadeOf(rule: Comparable, wanted: readonly Step[]): boolean {
  if (isWritten(rule, wanted)) return true
  const found = decodeSteps(rule.steps)
  const expected = wanted.flatMap(decodeSteps)
  return (
    found.length === expected.length &&
    expected.every(({ name, data: values }, index) => found[index]?.name === name && same(found[index]?.data, values))
  )
}

/** Returns the chain that a rule of these steps jumps or goes to. */
export function targetIn(steps: readonly FoundExpression[]): string | undefined {
  for (const { name, data: values } of steps) {
    if (name !== "immediate") continue
    const { data: given } = values as ReturnType<Known["immediate"]["read"]>
    if (given?.verdict?.chain !== undefined) return given.verdict.chain
  }
  return undefined
}

/** The attributes that kernels before 5.8 do not list: of a bitwise step what it does, of a nat step what follows from its registers. */
const LATER = ["operation", "flags"]

/** Compares values of attributes: numbers, texts, bytes, and objects of them. Undefined is absent. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b
  if (a instanceof Uint8Array && b instanceof Uint8Array) return sameBytes(a, b)
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  for (const key in one) if (!same(one[key], other[key])) return false
  for (const key in other) if (!(key in one) && other[key] !== undefined && !LATER.includes(key)) return false
  return true
}
