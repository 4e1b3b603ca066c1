import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { jsonProblem } from "./json-problem.ts"

const document = fc.oneof(
  fc.json({ maxDepth: 5 }),
  fc.jsonValue({ maxDepth: 5, stringUnit: "binary" }).map((value) => JSON.stringify(value, null, 1)),
)
const edit = fc.tuple(fc.nat(), fc.constantFrom(0, 1), fc.constantFrom(...'{}[]",:019eE+-.tfnu\\ \n\u0000/', ""))
const mutated = fc
  .tuple(document, fc.array(edit, { minLength: 1, maxLength: 3 }))
  .map(([text, edits]) => edits.reduce(edited, text))

function edited(text: string, [at, taken, put]: [number, number, string]): string {
  const start = at % (text.length + 1)
  return text.slice(0, start) + put + text.slice(start + taken)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe("jsonProblem", () => {
  it("finds one in whatever JSON.parse refuses, and in nothing else", () => {
    fc.assert(
      fc.property(mutated, (text) => {
        expect(jsonProblem(text) === undefined).toBe(isJson(text))
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ["", "unexpected end at line 1, character 1: a value is due"],
    ['\ufeff{"a":1}', 'unexpected "\ufeff" at line 1, character 1: a value is due'],
    ['{"a":1}\n x{}', 'unexpected "x" at line 2, character 2: the document has ended before'],
    ['{"a":1}{', 'unexpected "{" at line 1, character 8: the document has ended before'],
    ['{"a":1,}', 'unexpected "}" at line 1, character 8: a key in " is due'],
    ["{'a':1}", `unexpected "'" at line 1, character 2: a key in " is due`],
    ['{\n  "a": 1\n  "b": 2\n}', 'unexpected "\\"" at line 3, character 3: a comma or } is due'],
    ['{"a"=1}', 'unexpected "=" at line 1, character 5: a colon is due'],
    ['{"a":[1,tru]}', 'unexpected "tru" at line 1, character 9: a value is due'],
    ['{"a":01}', 'unexpected "01" at line 1, character 6: a value is due'],
    ['{"a":1', "unexpected end at line 1, character 7: a comma or } is due"],
    ['{"ä😀":"b', 'unexpected end at line 1, character 9: a string lacks its "'],
    ['{"a":"b\n"}', 'unexpected "\\n" at line 1, character 8: a string may not hold it as it is'],
    ['{"a":"\\x"}', 'unexpected "\\\\" at line 1, character 7: no escape that JSON knows begins so'],
    [`[${"9".repeat(100)}x]`, `unexpected "${"9".repeat(20)}" at line 1, character 2: a value is due`],
  ])("says of %j what and where: %s", (text, problem) => expect(jsonProblem(text)).toBe(problem))
})
