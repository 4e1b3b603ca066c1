import { toHex } from "./recorded.ts"

/** The form of an attribute's payload: text, or attributes, which may follow a header of some bytes; or a step of a rule. */
export type Shape = "text" | "step" | { readonly header?: number; readonly nested: Readonly<Record<number, Shape>> }

/** Payloads in hex by attribute number; several of one number are a list. */
export type Tree = { [type: string]: Branch | Branch[] }
export type Branch = string | Tree

/**
 * Reads a request as a tree, sharing nothing with the codec under test. It leaves out what may differ between two messages that mean the
 * same: order, padding, the nesting mark, a text's final NUL, sequence number.
 */
export function requestTree(request: Uint8Array, shape: Shape): Tree {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength)
  const [type, flags] = [view.getUint16(4, true), view.getUint16(6, true)]
  return { message: `type ${type} flags ${flags.toString(16)}`, ...(branch(request.subarray(16), shape) as Tree) }
}

function branch(payload: Uint8Array, shape: Shape | undefined): Branch {
  if (shape === undefined) return toHex(payload)
  if (shape === "text") return Buffer.from(payload).toString().replace(/\0$/, "")
  if (shape === "step") return step(payload)
  const { header = 0, nested } = shape
  const tree: Tree = header > 0 ? { header: toHex(payload.subarray(0, header)) } : {}
  for (let rest = payload.subarray(header); rest.length > 0; ) {
    const [low = 0, high = 0, typeLow = 0, typeHigh = 0] = rest
    const [length, type] = [low + 256 * high, typeLow + 256 * (typeHigh & 0x3f)]
    if (length < 4 || length > rest.length) throw new Error(`attribute of length ${length} in ${toHex(payload)}`)
    const value = branch(rest.subarray(4, length), nested[type])
    const before = tree[type]
    if (Array.isArray(before)) before.push(value)
    else tree[type] = before === undefined ? value : [before, value]
    rest = rest.subarray(4 * Math.ceil(length / 4))
  }
  return tree
}

/** An NFTA_LIST_ELEM: only an immediate's attribute 2 consists of attributes, and a bitwise step may say that it does what it does by default. */
function step(payload: Uint8Array): Branch {
  const { 1: name } = branch(payload, { nested: { 1: "text" } }) as Tree
  const data: Shape = { nested: name === "immediate" ? { 2: { nested: {} } } : {} }
  const tree = branch(payload, { nested: { 1: "text", 2: data } }) as { 2: Tree }
  if (name === "bitwise" && tree[2][6] === "00000000") delete tree[2][6]
  return tree
}
