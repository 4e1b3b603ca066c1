import { describe, expect, test } from "vitest"
import { drawChart, type Pair } from "./chart.ts"

const pair = (name: string, reference: number, ours: number): Pair => ({ name, reference, ours })

function draw(...pairs: Pair[]): string {
  return drawChart({ title: "Calls", circumstances: "2026-11-26, 2 CPUs", panels: [{ title: "ADD", pairs }] })
}

/** Returns the widths of a side's bars; the first rectangle is the legend's. */
function widths(svg: string, side: string): number[] {
  const found = svg.matchAll(new RegExp(`<rect class="${side}" [^>]*width="([\\d.]+)"`, "g"))
  return [...found].map(([, width]) => Number(width)).slice(1)
}

function texts(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, content = ""]) => content)
}

describe("a chart", () => {
  test("has bars as long as its figures say, on one axis from 0", () => {
    const svg = drawChart({
      title: "Calls",
      circumstances: "2026-11-26",
      panels: [
        { title: "ADD", pairs: [pair("bridge", 20, 5)] },
        { title: "DEL", pairs: [pair("bridge", 100, 50)] },
      ],
    })
    const [reference, ours] = [widths(svg, "reference"), widths(svg, "ours")]
    const perMillisecond = (reference[1] ?? 0) / 100
    expect(perMillisecond).toBeGreaterThan(4)
    for (const [at, value] of [20, 100].entries()) expect(reference[at]).toBeCloseTo(value * perMillisecond, 0)
    for (const [at, value] of [5, 50].entries()) expect(ours[at]).toBeCloseTo(value * perMillisecond, 0)
  })

  test("says title, unit, date and machine, names and figures", () => {
    const said = texts(draw(pair("bridge", 238.4, 5.94)))
    expect(said).toEqual(expect.arrayContaining(["Calls", "ADD", "bridge", "238", "5.9", "2026-11-26, 2 CPUs"]))
    expect(said).toContainEqual(expect.stringContaining("milliseconds"))
  })

  test.each([
    [0.7, ["0", "0.1", "0.7"]],
    [11.2, ["0", "2", "10", "12"]],
    [86.5, ["0", "20", "80", "100"]],
    [238, ["0", "50", "200", "250"]],
    [1000, ["0", "200", "1000"]],
  ])("whose longest bar is %s has round figures on its axis, all of it in the picture", (longest, ticks) => {
    const svg = draw(pair("bridge", longest, longest / 3))
    expect(texts(svg)).toEqual(expect.arrayContaining(ticks))
    const lines = [...svg.matchAll(/<line [^>]*x1="([\d.]+)"/g)].map(([, x]) => Number(x))
    expect(lines.length).toBeGreaterThanOrEqual(5)
    expect(lines.length).toBeLessThanOrEqual(10)
    expect(Math.max(...lines)).toBe(690)
    expect(Math.max(...widths(svg, "reference"))).toBeLessThanOrEqual(690 - 150)
  })

  test("is one file that loads nothing, for light and dark, and says in words what it shows", () => {
    const svg = draw(pair("bridge & <ptp>", 2, 1))
    expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/http|href|@import|url\(|<script/)
    expect(svg).toContain("prefers-color-scheme: dark")
    expect(svg).toContain("ADD bridge &#38; &#60;ptp&#62;: 2.0 ms and 1.0 ms")
  })
})
