import { expect, test } from "vitest"
import { firstFree } from "./vrf-link.ts"

test.each([
  [[], 1],
  [[1], 2],
  [[1, 3], 2],
  [[2, 0, 254], 1],
  [Array.from({ length: 252 }, (_, at) => at + 1), 256],
  [Array.from({ length: 999 }, (_, at) => at + 1), 1000],
])("of the tables beside %j the first that is free is %i", (taken, free) => {
  expect(firstFree(taken)).toBe(free)
})
