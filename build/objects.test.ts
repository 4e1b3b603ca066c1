import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { objectsOf } from "./objects.ts"
import { ownFlags } from "./toolchain.ts"

let scratch = ""
let made: string[] = []
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "objects-"))
})
afterEach(() => {
  for (const directory of [scratch, ...made]) rmSync(directory, { recursive: true, force: true })
  made = []
})

/** Compiles that text, and `two.h` beside it, in a directory of that name; returns the path of the only object. */
async function compile(directory: string, text: string, header = "#define TWO 2\n"): Promise<string> {
  const sources = join(scratch, directory)
  mkdirSync(sources, { recursive: true })
  writeFileSync(join(sources, "one.c"), text)
  writeFileSync(join(sources, "two.h"), header)
  const [object = ""] = await objectsOf({ name: `test-${process.pid}`, sources, flags: ownFlags }, "compiler")
  made.push(dirname(object))
  return object
}

const where = `#include "two.h"\nconst char *where(void);\nconst char *where(void) { return &__FILE__[TWO]; }\n`

test("the same sources give the same bytes in another directory", async () => {
  const first = readFileSync(await compile("a", where))
  for (const directory of made) rmSync(directory, { recursive: true })
  const second = readFileSync(await compile("another", where))
  expect(second.equals(first)).toBe(true)
  expect(second.includes(scratch)).toBe(false)
})

test("objects are kept until a source or a header is another", async () => {
  const first = await compile("a", where)
  const { ino } = statSync(first)
  expect(await compile("a", where)).toBe(first)
  expect(statSync(first).ino).toBe(ino)
  const second = await compile("a", where, "#define TWO 3\n")
  expect(second).not.toBe(first)
  expect(() => statSync(first)).toThrow("ENOENT")
})

test("a warning in our own C ends the build, with the compiler's words", async () => {
  await expect(compile("a", "short half(int whole);\nshort half(int whole) { return whole / 2; }\n")).rejects.toThrow(
    /one\.c:2:.*may change value.*-Werror=conversion/,
  )
})

test("what depends on the time of day is refused", async () => {
  await expect(compile("a", "const char *now(void);\nconst char *now(void) { return __TIME__; }\n")).rejects.toThrow(
    "Werror=date-time",
  )
})
