import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { run } from "../../lab/run.ts"
import type { Outcome } from "./guest-tests.ts"
import { bundleTests, outcomesIn } from "./tests-in-guest.ts"

const directory = mkdtempSync(join(tmpdir(), "cnits-bundle-"))
const [ends, throws] = ["ends", "throws"].map((name) => fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url)))
let found: Outcome[]

async function outcomes(pattern?: string): Promise<Outcome[]> {
  const [bundle, report] = [join(directory, "tests.mjs"), join(directory, "report")]
  await bundleTests({ files: [ends ?? "", throws ?? ""], pattern, report, alone: false }, bundle)
  expect(run(["node", "--enable-source-maps", bundle], { env: { PATH: process.env["PATH"] ?? "" } })).toMatchObject({
    exitCode: 0,
  })
  return JSON.parse(readFileSync(report, "utf8"))
}

beforeAll(async () => {
  found = await outcomes()
})
afterAll(() => rmSync(directory, { recursive: true }))

const outcome = (name: string) => found.filter((each) => each.name === name)

test("a test that passed, by its whole name", () => {
  expect(outcome("those that pass > 10.0.0.1 has all matchers")).toEqual([{ file: ends, name: expect.any(String) }])
})

test.each([
  ["those that fail > by an expectation", /to deeply equal[\s\S]*fixtures\/ends\.ts:13:[\s\S]*-\s+3,\n\+\s+2,/],
  ["those that fail > by being skipped", /^it is skipped$/],
  ["those that fail > by a hook", /the hook fails[\s\S]*fixtures\/ends\.ts:17:/],
  ["those that fail > by a hook > before them", /^it is skipped$/],
  ["as a whole", /the file fails[\s\S]*fixtures\/throws\.ts:1:/],
])("one failure: %s", (name, failure) => {
  expect(outcome(name)).toEqual([{ file: expect.any(String), name, failure: expect.stringMatching(failure) }])
})

test("only tests that the pattern names", async () => {
  const names = (await outcomes("has all")).map(({ name }) => name)
  expect(names).toEqual(["those that pass > 10.0.0.1 has all matchers", "as a whole"])
})

test.each([
  ["all passed, but something was left behind", { exitCode: 1, stdout: '[{ "file": "a", "name": "b" }]' }, 2],
  ["no report", { exitCode: 1, stdout: "" }, 1],
  ["no test", { exitCode: 0, stdout: "[]" }, 1],
])("a bad end is a failure of its own: %s", (_, result, count) => {
  const all = outcomesIn({ ...result, stderr: "what it said" })
  expect(all).toHaveLength(count)
  expect(all.at(-1)?.failure).toContain("what it said")
})
