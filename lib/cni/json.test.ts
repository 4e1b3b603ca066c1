import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Json, JsonError, JsonNumber, parseJson, printJson } from "./json.ts"

/** What JSON.parse would have made of the document. */
function plain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.text)
  if (Array.isArray(value)) return value.map(plain)
  if (!(value instanceof Map)) return value
  const object: Record<string, unknown> = {}
  for (const [key, member] of value) {
    Object.defineProperty(object, key, { value: plain(member), enumerable: true, configurable: true, writable: true })
  }
  return object
}

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
        expect(plain(parseJson(text))).toEqual(JSON.parse(text))
      }),
    )
  })

  it("accepts and refuses what JSON.parse accepts and refuses, and nothing else can come out of it", () => {
    fc.assert(
      fc.property(mutated, (text) => {
        // Half a surrogate pair is where the two differ on purpose.
        fc.pre(!/\\u[dD][89a-fA-F]/.test(text))
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

  it.each([
    ['{"a":tru}', 'unexpected "t" at offset 5'],
    ['{"a":1', "unexpected end at offset 6"],
    ['{"a" 1}', 'unexpected "1" at offset 5'],
    ["", "unexpected end at offset 0"],
  ])("says where %j is broken", (text, message) => {
    expect(() => parseJson(text)).toThrow(message)
  })

  it.each(["0", "-0", "1500", "1500.0", "1e3", "1E+400", "18446744073709551615", "18446744073709551616", "-0.0e-0"])(
    "keeps the number %s as it was written",
    (text) => expect(parseJson(text)).toEqual(new JsonNumber(text)),
  )

  it("counts the last of a key given twice, in the place of the last", () => {
    const object = parseJson('{"a":1,"b":2,"a":3}')
    expect([...(object as Map<string, Json>)]).toEqual([
      ["b", new JsonNumber("2")],
      ["a", new JsonNumber("3")],
    ])
  })

  it("has __proto__ and constructor as keys like any other", () => {
    const object = parseJson('{"__proto__":{"polluted":true},"constructor":"x","toString":null}')
    expect([...(object as Map<string, Json>).keys()]).toEqual(["__proto__", "constructor", "toString"])
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined()
  })

  it.each([
    [String.raw`"\ud800"`, "\ufffd"],
    [String.raw`"\udc00x"`, "\ufffdx"],
    [String.raw`"\ud83d\ud83d\ude00"`, "\ufffd😀"],
    [String.raw`"\ud83d\ude00"`, "😀"],
    [String.raw`"\ude00\ud83d"`, "\ufffd\ufffd"],
  ])("reads half a surrogate pair in %s as U+FFFD, as Go does", (text, string) => {
    expect(parseJson(text)).toBe(string)
  })

  it("reads half a surrogate pair in a key as U+FFFD", () => {
    expect(parseJson(String.raw`{"\ud800":true}`)).toEqual(new Map([["\ufffd", true]]))
  })

  it.each([
    ["[", "]"],
    ['{"a":', "}"],
  ])("reads 500 levels of %s and refuses a million", (open, close) => {
    const nested = (levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`
    expect(() => parseJson(nested(500))).not.toThrow()
    expect(() => parseJson(nested(501))).toThrow(JsonError)
    expect(() => parseJson(nested(1_000_000))).toThrow("nested deeper than 500 levels")
    expect(() => parseJson(open.repeat(1_000_000))).toThrow("nested deeper than 500 levels")
  })

  it("reads ten megabytes of text, blanks, digits or members", () => {
    const size = 10_000_000
    expect(parseJson(`"${"x".repeat(size)}"`)).toHaveLength(size)
    expect(parseJson(`[${" ".repeat(size)}]`)).toEqual([])
    expect(parseJson("1".repeat(size))).toBeInstanceOf(JsonNumber)
    expect(parseJson(`[${"null,".repeat(size / 5)}null]`)).toHaveLength(size / 5 + 1)
    expect(parseJson(`"${"\\n".repeat(size / 2)}"`)).toHaveLength(size / 2)
  })
})

describe("printJson", () => {
  // Every expectation here is what Go's json.MarshalIndent(value, "", "    ") printed.
  it("escapes what could end a script, as Go does", () => {
    expect(printJson({ msg: "<a> & \u2028\u2029", "<key>": 1 })).toBe(
      String.raw`{
    "msg": "\u003ca\u003e \u0026 \u2028\u2029",
    "\u003ckey\u003e": 1
}`,
    )
  })

  it("escapes control characters, quotes and backslashes, and leaves everything else as it is", () => {
    expect(printJson('\u0000\u0001\b\t\n\v\f\r\u001f"\\/\u007f é😀\ufffd')).toBe(
      `${String.raw`"\u0000\u0001\b\t\n\u000b\f\r\u001f\"\\/`}\u007f é😀\ufffd"`,
    )
  })

  it("keeps empty lists and objects on their line, and ends without a newline", () => {
    expect(printJson({ a: [], b: {}, c: [[]] })).toBe(`{
    "a": [],
    "b": {},
    "c": [
        []
    ]
}`)
  })

  it("leaves undefined members out and keeps the order of the others", () => {
    expect(printJson({ z: 1, gone: undefined, a: false, n: null })).toBe(`{
    "z": 1,
    "a": false,
    "n": null
}`)
  })

  it("prints what it reads back", () => {
    const value = fc.jsonValue({ maxDepth: 4 })
    fc.assert(
      fc.property(value, (data) => {
        expect(plain(parseJson(printJson(data)))).toEqual(JSON.parse(JSON.stringify(data)))
      }),
    )
  })
})
