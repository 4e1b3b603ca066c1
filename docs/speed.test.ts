import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { coursePicture, picture } from "../conformance/bench/picture.ts"
import { ROOT } from "../scripts/repository.ts"

const read = (file: string) => readFileSync(join(ROOT, file), "utf8")

/** Returns the medians of a page's tables as scripts/bench has them: a sample of each side by the row's name. */
function rowsOf(page: string): Parameters<typeof picture>[0] {
  const lines = page.split("\n").map((line) => line.split("|").map((cell) => cell.trim()))
  const [wide, narrow] = [9, 6] // the second table has no column of 90 %
  const measured = lines.filter(({ length }) => length === wide || length === narrow)
  return new Map(
    measured.map((cells) => {
      const [, name = "", reference, second, third] = cells
      return [
        name.replace(/ \(Go \d+ times\)$/, ""),
        { reference: [Number(reference)], ours: [Number(cells.length === wide ? third : second)], floor: [] },
      ]
    }),
  )
}

/** Returns the figures at the ends of the bars. */
function said(svg: string): string[] {
  return [...svg.matchAll(/<text [^>]*class="figure"[^>]*>([^<]*)</g)].map(([, content = ""]) => content)
}

test("the picture of docs/speed.md shows the figures of its table", () => {
  const shown = said(read("docs/speed.svg"))
  expect(shown).toHaveLength(20)
  expect(shown).toEqual(said(picture(rowsOf(read("docs/speed.md")), "")))
})

test("the picture of a node that fills shows the figures of its table", () => {
  const shown = said(read("docs/full-node.svg"))
  expect(shown).toHaveLength(18)
  expect(shown).toEqual(said(coursePicture(rowsOf(read("docs/speed.md")), "")))
})

test("the picture and the table were measured on the same day", () => {
  const [, day = "no day"] = /on (\d{4}-\d\d-\d\d):/.exec(read("docs/speed.md")) ?? []
  expect(read("docs/speed.svg")).toContain(`>${day}, `)
})

test.each([
  ["ms", "chain ADD, ms"],
  ["ms", "host-local ADD, 60,000 leases"],
  ["MB", "bridge, host-local, loopback, MB"],
])("README.md gives the %s of the row %s of docs/speed.md", (unit, name) => {
  const { reference: [reference = 0] = [], ours: [ours = 0] = [] } = rowsOf(read("docs/speed.md")).get(name) ?? {}
  const given = [...read("README.md").matchAll(/\*\*([\d.]+) (\w+) instead of ([\d.]+)\*\*/g)]
  const rounded = (text: string | undefined, value: number) => value.toFixed(text?.split(".")[1]?.length ?? 0) === text
  expect(
    given.filter(([, mine, of, theirs]) => of === unit && rounded(mine, ours) && rounded(theirs, reference)),
  ).toHaveLength(1)
})
