import { sameBytes } from "../../sys/bytes.ts"
import { attributeSet, be32, be64, bytes, chosen, type Kind, nested, printed, signedBe32, text } from "../attribute.ts"
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

/** NFTA_VERDICT_* */
const verdict = attributeSet({
  code: [1, named(signedBe32, VERDICT), "NFTA_VERDICT_CODE"],
  chain: [2, text, "NFTA_VERDICT_CHAIN"],
})

/** NFTA_DATA_*: a value, or a verdict on the packet. */
export const data = attributeSet({
  value: [1, bytes, "NFTA_DATA_VALUE"],
  verdict: [2, nested(verdict), "NFTA_DATA_VERDICT"],
})

/** NFTA_PAYLOAD_*, NFTA_CMP_* ... of linux/netfilter/nf_tables.h: the expressions that rules here are made of, by the kernel's name. */
const expressions = {
  meta: attributeSet({
    target: [1, be32, "NFTA_META_DREG"],
    key: [2, named(be32, META), "NFTA_META_KEY"],
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
    data: [3, nested(data), "NFTA_CMP_DATA"],
  }),
  bitwise: attributeSet({
    source: [1, be32, "NFTA_BITWISE_SREG"],
    target: [2, be32, "NFTA_BITWISE_DREG"],
    length: [3, be32, "NFTA_BITWISE_LEN"],
    mask: [4, nested(data), "NFTA_BITWISE_MASK"],
    xor: [5, nested(data), "NFTA_BITWISE_XOR"],
  }),
  immediate: attributeSet({ target: [1, be32, "NFTA_IMMEDIATE_DREG"], data: [2, nested(data), "NFTA_IMMEDIATE_DATA"] }),
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

interface AnySet {
  readonly write: (writer: Writer, values: never) => void
  readonly read: (bytes: Uint8Array) => object
}

const sets: Readonly<Record<string, AnySet | undefined>> = expressions

/** NFTA_EXPR_* */
const element = attributeSet({
  name: [1, text, "NFTA_EXPR_NAME"],
  data: [2, { ...chosen("NFTA_EXPR_NAME", expressions), nested: true }, "NFTA_EXPR_DATA"],
})

/** One NFTA_LIST_ELEM among a rule's expressions. */
const expression: Kind<Expression | FoundExpression> & { nested: true; repeated: true } = {
  nested: true,
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

/** Returns true if the expressions are the wanted ones, attribute by attribute. */
export function sameExpressions(found: readonly FoundExpression[], wanted: readonly Expression[]): boolean {
  return (
    found.length === wanted.length &&
    wanted.every((step, index) => found[index]?.name === step.name && same(found[index].data, step.data))
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

/** Values of attributes: numbers, texts, bytes, and objects of them. Undefined is absent. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b
  if (a instanceof Uint8Array && b instanceof Uint8Array) return sameBytes(a, b)
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  for (const key in one) if (!same(one[key], other[key])) return false
  for (const key in other) if (!(key in one) && other[key] !== undefined) return false
  return true
}
