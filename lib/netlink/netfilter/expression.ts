import { attributeSet, be32, bytes, type Kind, nested, signedBe32, text } from "../attribute.ts"
import { Writer } from "../writer.ts"

/** NFTA_VERDICT_* */
const verdict = attributeSet({ code: [1, signedBe32], chain: [2, text] })

/** NFTA_DATA_*: a value, or what to do with the packet. */
const data = attributeSet({ value: [1, bytes], verdict: [2, nested(verdict)] })

/** NFTA_PAYLOAD_*, NFTA_CMP_* ... of linux/netfilter/nf_tables.h: the expressions that rules here are made of, by the kernel's name. */
const expressions = {
  meta: attributeSet({ target: [1, be32], key: [2, be32], source: [3, be32] }),
  payload: attributeSet({ target: [1, be32], base: [2, be32], offset: [3, be32], length: [4, be32] }),
  cmp: attributeSet({ source: [1, be32], operation: [2, be32], data: [3, nested(data)] }),
  bitwise: attributeSet({
    source: [1, be32],
    target: [2, be32],
    length: [3, be32],
    mask: [4, nested(data)],
    xor: [5, nested(data)],
  }),
  immediate: attributeSet({ target: [1, be32], data: [2, nested(data)] }),
  fib: attributeSet({ target: [1, be32], result: [2, be32], flags: [3, be32] }),
  ct: attributeSet({ target: [1, be32], key: [2, be32] }),
  nat: attributeSet({
    type: [1, be32],
    family: [2, be32],
    addressMin: [3, be32],
    addressMax: [4, be32],
    portMin: [5, be32],
    portMax: [6, be32],
  }),
  masq: attributeSet({}),
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
const element = attributeSet({ name: [1, text], data: [2, { ...bytes, nested: true }] })

/** One NFTA_LIST_ELEM among a rule's expressions. */
const expression: Kind<Expression | FoundExpression> & { nested: true; repeated: true } = {
  nested: true,
  repeated: true,
  write(writer, { name, data: values }) {
    const own = new Writer()
    sets[name]?.write(own, values as never)
    element.write(writer, { name, data: own.bytes })
  },
  read(payload) {
    const { name = "", data: values = new Uint8Array() } = element.read(payload)
    return { name, data: sets[name]?.read(values) }
  },
}

/** NFTA_RULE_EXPRESSIONS: the steps of a rule in their order. */
export const expressionList = attributeSet({ steps: [1, expression] })

/** Whether what the kernel has is what is wanted, attribute by attribute. */
export function sameExpressions(found: readonly FoundExpression[], wanted: readonly Expression[]): boolean {
  return (
    found.length === wanted.length &&
    wanted.every((step, index) => found[index]?.name === step.name && same(found[index].data, step.data))
  )
}

/** The chain that a rule of these steps jumps or goes to. */
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
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  for (const key in one) if (!same(one[key], other[key])) return false
  for (const key in other) if (!(key in one) && other[key] !== undefined) return false
  return true
}
