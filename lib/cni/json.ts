import { host } from "../sys/host.ts"
import { jsonProblem } from "./json-problem.ts"

/**
 * A parsed document. A number is a whole one that JavaScript holds exactly; any other (`1500.0`, `1e3`, 2^64) is an OddNumber, which
 * keeps its digits: Go's decoder tells them apart, and so must the readers.
 */
export type Json = null | boolean | number | string | OddNumber | Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** A number as it was written, behind a NUL. No configuration has such a string, and none is read as one. */
export type OddNumber = string & { readonly [odd]: true }
declare const odd: unique symbol

/** The text is not JSON. */
export class JsonError extends Error {}

/** As deep as Go's decoder goes. */
const MAX_DEPTH = 10_000
const TOO_DEEP = `nested deeper than ${MAX_DEPTH} levels`

/** Characters in which the place of a problem is looked for: ten times as many would take seconds. */
const MAX_SEARCHED = 1 << 20

/** A string that nobody closes reaches to the end: to look for its end from every quote in it would take hours. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"?|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\s*:)/gs

/** Parses one JSON document (RFC 8259); of a key given twice the last one counts. Throws JsonError. */
export function parseJson(text: string): Json {
  const value = parse(text)
  if (text.length > MAX_DEPTH && isTooDeep(value)) throw new JsonError(TOO_DEEP)
  return value
}

function parse(text: string): Json {
  try {
    if (host.isPlainJson(text)) return JSON.parse(text)
    return JSON.parse(text.replace(STRING_OR_NUMBER, markOddNumber), text.includes("\\u") ? mendSurrogates : undefined)
  } catch (error) {
    throw new JsonError(problemOf(text, error), { cause: error })
  }
}

/** Says what is wrong with the text. The engine throws a RangeError if it has no stack left. */
function problemOf(text: string, error: unknown): string {
  if (error instanceof SyntaxError)
    return (text.length <= MAX_SEARCHED ? jsonProblem(text) : undefined) ?? error.message
  return error instanceof RangeError ? TOO_DEEP : "it takes more memory than there is"
}

/** Reads half a surrogate pair as U+FFFD, as Go does: strict readers of our results would refuse it. */
function mendSurrogates(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value
}

function markOddNumber(token: string): string {
  const plain = token.startsWith('"') || (Number.isSafeInteger(Number(token)) && String(Number(token)) === token)
  return plain ? token : `"\\u0000${token}"`
}

/** Begins an odd number, and no other string. */
export const ODD = "\0"

/** Returns the digits of an odd number, or undefined if it is none. */
export function oddNumber(value: Json): string | undefined {
  return typeof value === "string" && value.startsWith(ODD) ? value.slice(1) : undefined
}

export function isObject(value: Json): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value)
}

/** Says if the document is nested too deep. Goes through it level by level: values without levels below them fall away at once. */
function isTooDeep(value: Json): boolean {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === MAX_DEPTH) return true
    level = level.flatMap(childrenOf)
  }
  return false
}

function childrenOf(value: Json): readonly Json[] {
  if (value === null || typeof value !== "object") return []
  const children = Array.isArray(value) ? value : Object.values(value)
  return children.filter((child) => child !== null && typeof child === "object")
}
