import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { host } from "../sys/host.ts"
import { isObject, type Json, JsonError, oddNumber, parseJson } from "./json.ts"

/** Returns the document as JSON.parse reads it. */
function plain(value: Json): unknown {
  const digits = oddNumber(value)
  if (digits !== undefined) return Number(digits)
  if (Array.isArray(value)) return value.map(plain)
  if (!isObject(value)) return value
  const object: Record<string, unknown> = {}
  for (const [key, member] of Object.entries(value)) {
    Object.defineProperty(object, key, { value: plain(member), enumerable: true, configurable: true, writable: true })
  }
  return object
}

/** Strings that start with a NUL stand for odd numbers, so a document with one may read differently. */
const hasLeadingNul = (text: string) => /"\\u0000/.test(text)

function outcome(read: () => unknown): unknown {
  try {
    return { value: read() }
  } catch (error) {
    return error instanceof JsonError || error instanceof SyntaxError ? "refused" : error
  }
}

const document = fc.oneof(
  fc.json({ maxDepth: 5 }),
  fc.jsonValue({ maxDepth: 5, stringUnit: "binary" }).map((value) => JSON.stringify(value, null, 1)),
)

/** A document with one to three characters put in, taken out or replaced. */
const mutated = fc
  .tuple(
    document,
    fc.array(
      fc.tuple(fc.nat(), fc.constantFrom(0, 1), fc.constantFrom(...'{}[]",:0123456789eE+-.tfnu\\ \n\u0000/', "")),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
  )
  .map(([text, edits]) =>
    edits.reduce((edited, [at, taken, put]) => {
      const start = at % (edited.length + 1)
      return (edited.slice(0, start) + put + edited.slice(start + taken)).replace(/\p{Surrogate}/gu, "")
    }, text),
  )

describe("parseJson", () => {
  it("reads what JSON.parse reads", () => {
    fc.assert(
      fc.property(document, (text) => {
        fc.pre(!hasLeadingNul(text))
        expect(plain(parseJson(text))).toEqual(JSON.parse(text))
      }),
    )
  })

  it("accepts and refuses what JSON.parse accepts and refuses, and nothing else can come out of it", () => {
    fc.assert(
      fc.property(mutated, (text) => {
        fc.pre(!hasLeadingNul(text))
        expect(outcome(() => plain(parseJson(text)))).toEqual(outcome(() => JSON.parse(text)))
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    "",
    " ",
    "{",
    "[1,]",
    '{"a":1,}',
    '{"a"}',
    "{a:1}",
    "{'a':1}",
    "01",
    "+1",
    "1.",
    ".5",
    "1e",
    "--1",
    "0x10",
    "[01.5]",
    "[1.5.5]",
    "{1.5:2}",
    "{1e5 : 2}",
    "NaN",
    "Infinity",
    "undefined",
    "nul",
    "truefalse",
    "1 2",
    "{} {}",
    "// no\n{}",
    '"\t"',
    '"\u0000"',
    '"\\x41"',
    '"\\u12g4"',
    '"\\u12"',
    '"open',
    "\u00a0{}",
    "\ufeff{}",
    "{}\u0000",
    "\v{}",
  ])("refuses %j", (text) => {
    expect(() => parseJson(text)).toThrow(JsonError)
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  it.each(["0", "1500", "-4094", "9007199254740991"])("reads the whole number %s as a number", (text) => {
    expect(parseJson(`{"a":[${text},"10.1.2.3/24"]}`)).toEqual({ a: [Number(text), "10.1.2.3/24"] })
  })

  it.each(["1500.0", "1e3", "1E+400", "9007199254740993", "18446744073709551615", "18446744073709551616", "-0.0e-0"])(
    "keeps the digits of the number %s",
    (text) => {
      const { a, list } = parseJson(`{"a": ${text},"list":[7,${text}]}`) as { a: Json; list: Json[] }
      expect([oddNumber(a), list[0], oddNumber(list[1] ?? null)]).toEqual([text, 7, text])
    },
  )

  it.each(['"1.5"', '"a, 1.5"', '"a: 1e5 \\" , 2.5 "', '"[1.5]"'])("leaves numbers in the string %s alone", (text) => {
    expect(parseJson(`[${text}, 0.5]`)).toEqual([JSON.parse(text), expect.anything()])
  })

  it("counts the last of a key given twice", () => {
    expect(parseJson('{"a":1,"b":2,"a":3}')).toEqual({ a: 3, b: 2 })
  })

  it("has __proto__ and constructor as keys like any other", () => {
    const object = parseJson('{"__proto__":{"polluted":true},"constructor":"x","toString":null}')
    expect(Object.keys(object as object)).toEqual(["__proto__", "constructor", "toString"])
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined()
  })

  it.each([
    ["[", "]"],
    ['{"a":', "}"],
  ])("reads 10,000 levels of %s and refuses one more, or a million", (open, close) => {
    const nested = (levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`
    expect(() => parseJson(nested(10_000))).not.toThrow()
    expect(() => parseJson(nested(10_001))).toThrow("nested deeper than 10000 levels")
    expect(() => parseJson(nested(1_000_000))).toThrow("nested deeper than 10000 levels")
    expect(() => parseJson(open.repeat(1_000_000))).toThrow(JsonError)
  })

  it("does not take brackets in strings for levels", () => {
    expect(parseJson(`"${'[{\\"'.repeat(20_000)}"`)).toHaveLength(60_000)
  })

  it("reads ten megabytes of text, blanks, digits or members", { timeout: 60_000 }, () => {
    const size = 10_000_000
    expect(parseJson(`"${"x".repeat(size)}"`)).toHaveLength(size)
    expect(parseJson(`[${" ".repeat(size)}]`)).toEqual([])
    expect(oddNumber((parseJson(`[${"1".repeat(size)}]`) as Json[])[0] ?? null)).toHaveLength(size)
    expect(parseJson(`[${"null,".repeat(size / 5)}null]`)).toHaveLength(size / 5 + 1)
    expect(parseJson(`"${"\\n".repeat(size / 2)}"`)).toHaveLength(size / 2)
  })
})

describe("a text that nobody closes", () => {
  it.each(['{"a":1.5,"b":"', '{"a":1.5,"b":"x'])("is refused in time that grows with its length: %s", (start) => {
    expect(() => parseJson(start + '\\"'.repeat(50_000))).toThrow(JsonError)
    expect(() => parseJson(`${start}\\\n${'\\"'.repeat(50_000)}`)).toThrow(JsonError)
  })
})

describe("host.printJson", () => {
  // Every expectation here is what Go's json.MarshalIndent(value, "", "    ") printed.
  it("escapes what could end a script, as Go does", () => {
    expect(host.printJson({ msg: "<a> & \u2028\u2029", "<key>": 1 })).toBe(
      String.raw`{
    "msg": "\u003ca\u003e \u0026 \u2028\u2029",
    "\u003ckey\u003e": 1
}`,
    )
  })

  it("escapes control characters, quotes and backslashes, and leaves everything else as it is", () => {
    expect(host.printJson('\u0000\u0001\b\t\n\v\f\r\u001f"\\/\u007f é😀\ufffd')).toBe(
      `${String.raw`"\u0000\u0001\b\t\n\u000b\f\r\u001f\"\\/`}\u007f é😀\ufffd"`,
    )
  })

  it("keeps empty lists and objects on their line, and ends without a newline", () => {
    expect(host.printJson({ a: [], b: {}, c: [[]] })).toBe(`{
    "a": [],
    "b": {},
    "c": [
        []
    ]
}`)
  })

  it("leaves undefined members out and keeps the order of the others", () => {
    expect(host.printJson({ z: 1, gone: undefined, a: false, n: null })).toBe(`{
    "z": 1,
    "a": false,
    "n": null
}`)
  })

  it("prints what it reads back", () => {
    const value = fc.jsonValue({ maxDepth: 4 })
    fc.assert(
      fc.property(value, (data) => {
        fc.pre(!hasLeadingNul(JSON.stringify(data)))
        expect(plain(parseJson(host.printJson(data)))).toEqual(JSON.parse(JSON.stringify(data)))
      }),
    )
  })
})
