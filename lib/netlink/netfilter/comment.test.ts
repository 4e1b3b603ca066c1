import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { fromHex } from "../../testing/recorded.ts"
import { commentData, commentIn, commentTest, noteIn, noteTest } from "./comment.ts"

const word = fc.string({ minLength: 1, maxLength: 120, unit: "grapheme-ascii" })

test("a comment is what nft writes: type 0, length, text, NUL", () => {
  expect([...commentData("ctr1")]).toEqual([0, 5, 0x63, 0x74, 0x72, 0x31, 0])
})

test("comment and note are read back, each by itself", () => {
  fc.assert(
    fc.property(word, word, (comment, note) => {
      expect([commentIn(commentData(comment, note)), noteIn(commentData(comment, note))]).toEqual([comment, note])
      expect([commentIn(commentData(undefined, note)), noteIn(commentData(undefined, note))]).toEqual([undefined, note])
      expect(noteIn(commentData(comment))).toBeUndefined()
    }),
  )
})

test("a comment longer than nft allows is refused, and so is more than the kernel takes", () => {
  expect(() => commentData("x".repeat(129))).toThrow(RangeError)
  expect(() => commentData("x".repeat(128), "y".repeat(124))).toThrow(RangeError)
  expect(commentData("x".repeat(128), "y".repeat(122))).toHaveLength(256)
})

describe("the test for a comment without decoding it", () => {
  test("agrees with startsWith", () => {
    const near = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom("a", "b", "é") })
    fc.assert(
      fc.property(near, near, (comment, prefix) => {
        expect(commentTest(prefix)(commentData(comment, "n"))).toBe(comment.startsWith(prefix))
      }),
      { numRuns: 500 },
    )
  })

  test("finds a comment that is not the first entry, and none in no data", () => {
    const later = new Uint8Array([...commentData(undefined, "note"), ...commentData("ctr1")])
    expect([commentTest("ctr")(later), commentTest("x")(later), commentTest("x")(new Uint8Array())]).toEqual([
      true,
      false,
      false,
    ])
  })
})

describe("the test for a note without decoding it", () => {
  test("agrees with startsWith, with a comment before the note and without", () => {
    const near = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom("a", "b", "é") })
    fc.assert(
      fc.property(fc.option(near, { nil: undefined }), near, near, (comment, note, prefix) => {
        expect(noteTest(prefix)(commentData(comment, note))).toBe(note.startsWith(prefix))
      }),
      { numRuns: 500 },
    )
  })

  test("passes data without a note, and no data", () => {
    expect([commentData("a"), new Uint8Array()].map(noteTest("a"))).toEqual([true, true])
  })
})

test("any user data is read without going beyond it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      commentIn(data)
      noteIn(data)
      commentTest("abc")(data)
      noteTest("abc")(data)
    }),
    { numRuns: 1000 },
  )
})

test.each([
  ["nothing", "", undefined],
  ["other data alone", "010361620000", undefined],
  ["other data before it", "0102616200046f6e6500", "one"],
  ["a comment without NUL", "00036f6e65", "one"],
  ["a comment longer than the data", "00ff6f6e65", undefined],
  ["half a header", "00", undefined],
])("user data with %s", (_, hex, comment) => {
  expect(commentIn(fromHex(hex))).toBe(comment)
})
