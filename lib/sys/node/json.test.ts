import { expect, test } from "vitest"
import { nodeHost as host } from "./host.ts"

test.each([
  ['{"a": 1500, "b": [-1, 123456789012345]}', true],
  ['{"a": "1.5", "1e3": "1234567890123456"}', true],
  ['{"a": "\\\\", "b": "\\"1.5"}', true],
  ['{"a": 1500.0}', false],
  ["[-1e3]", false],
  ["[1,1E3]", false],
  ["1234567890123456", false],
  ['{"a": "\\"", "b": 1.5}', false],
  ['"never closed 1.5', true],
  ["", true],
  ['"\\u00e9"', false],
  ['"\\\\u00e9"', true],
])("%s is plain: %j", (json, plain) => {
  expect(host.isPlainJson(json)).toBe(plain)
})
