// What is fuzzed asks the host for text and digests: it must be there before the targets are.
import "../../../lib/sys/node/register.ts"

import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { targets } from "./targets.ts"

/** For all targets together; `scripts/fuzz SECONDS` takes as long as anybody wants. */
const SECONDS = Number(process.env["CNITS_FUZZ_SECONDS"] ?? 28)
const BATCH = 500
const timeout = SECONDS * 2000 + 60_000

/** Input that once found something, by target: every run begins with it. */
const corpus: Readonly<Record<string, readonly string[]>> = JSON.parse(
  readFileSync(new URL("corpus.json", import.meta.url), "utf8"),
)

test("the corpus speaks of targets that there are", () => {
  expect(targets.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(corpus)))
})

describe.each(targets)("whatever it says, no surprise comes of $name:", ({ name, inputs, check }) => {
  test.each(corpus[name] ?? [""])("found before: %j", (input) => {
    check(input)
  })

  test("damaged at random", { timeout }, async () => {
    const end = performance.now() + (SECONDS * 1000) / targets.length
    let tried = 0
    while (performance.now() < end) {
      fc.assert(fc.property(inputs, check), { numRuns: BATCH })
      tried += BATCH
      await new Promise(setImmediate) // lets the test runner hear from us
    }
    console.log(`${name}: ${tried} inputs, none surprising`)
    expect(tried).toBeGreaterThan(0)
  })
})
