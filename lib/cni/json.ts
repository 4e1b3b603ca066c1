/** A parsed document. Objects are maps: no key of the input can reach a prototype. Numbers keep their digits. */
export type Json = null | boolean | string | JsonNumber | Json[] | JsonObject
export type JsonObject = Map<string, Json>

/** A number as it was written, so that 1500 and 1500.0, and 2^64 and 2^64-1, stay apart. */
export class JsonNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** The text is not JSON. `offset` counts UTF-16 units. */
export class JsonError extends Error {
  readonly offset: number
  constructor(problem: string, offset: number) {
    super(`${problem} at offset ${offset}`)
    this.offset = offset
  }
}

/** Deeper documents are refused: no network configuration comes near, and the stack stays safe. */
const MAX_DEPTH = 500

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y
const PLAIN = /[^"\\\u0000-\u001f]*/y
const LONE_SURROGATE = /\p{Surrogate}/gu
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
}

/**
 * Parses one JSON document (RFC 8259); of a key given twice the last one counts, and half a surrogate pair becomes U+FFFD,
 * so that every string has UTF-8. Throws JsonError.
 */
export function parseJson(text: string): Json {
  const parser = new Parser(text)
  const value = parser.value(0)
  parser.end()
  return value
}

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(depth: number): Json {
    if (depth > MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH} levels`, this.#at)
    this.#match(SPACE)
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth)
      case "[":
        return this.#array(depth)
      case '"':
        return this.#string()
      case "t":
        return this.#literal("true", true)
      case "f":
        return this.#literal("false", false)
      case "n":
        return this.#literal("null", null)
      default:
        return this.#number()
    }
  }

  end(): void {
    this.#match(SPACE)
    if (this.#at < this.#text.length) throw this.#unexpected()
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map()
    this.#at++
    if (this.#skipIf("}")) return object
    do {
      this.#match(SPACE)
      if (this.#text[this.#at] !== '"') throw this.#unexpected()
      const key = this.#string()
      if (!this.#skipIf(":")) throw this.#unexpected()
      const value = this.value(depth + 1)
      object.delete(key)
      object.set(key, value)
    } while (this.#skipIf(","))
    if (!this.#skipIf("}")) throw this.#unexpected()
    return object
  }

  #array(depth: number): Json[] {
    const array: Json[] = []
    this.#at++
    if (this.#skipIf("]")) return array
    do array.push(this.value(depth + 1))
    while (this.#skipIf(","))
    if (!this.#skipIf("]")) throw this.#unexpected()
    return array
  }

  #string(): string {
    this.#at++
    let string = this.#match(PLAIN)
    while (this.#text[this.#at] === "\\") string += this.#escape() + this.#match(PLAIN)
    if (this.#text[this.#at] !== '"') throw this.#unexpected()
    this.#at++
    return string.replace(LONE_SURROGATE, "\ufffd")
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? ""
    const plain = ESCAPES[letter]
    if (plain !== undefined) {
      this.#at += 2
      return plain
    }
    const hex = this.#text.slice(this.#at + 2, this.#at + 6)
    if (letter !== "u" || !/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#unexpected()
    this.#at += 6
    return String.fromCharCode(Number.parseInt(hex, 16))
  }

  #number(): JsonNumber {
    const text = this.#match(NUMBER)
    if (text === "") throw this.#unexpected()
    return new JsonNumber(text)
  }

  #literal<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected()
    this.#at += word.length
    return value
  }

  #skipIf(char: string): boolean {
    this.#match(SPACE)
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  /** What the sticky `pattern` finds here, consumed. */
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ""
    this.#at += found.length
    return found
  }

  #unexpected(): JsonError {
    const char = this.#text[this.#at]
    return new JsonError(char === undefined ? "unexpected end" : `unexpected ${JSON.stringify(char)}`, this.#at)
  }
}

const HTML: Record<string, string> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
}

/**
 * Prints as the Go plugins do: four spaces, no newline at the end, and `<`, `>`, `&` escaped.
 * Undefined members are left out; members come in the order they were set.
 */
export function printJson(value: unknown): string {
  return JSON.stringify(value, null, 4).replace(/[<>&\u2028\u2029]/g, (char) => HTML[char] ?? char)
}
