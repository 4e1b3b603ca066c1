import { describe, expect, test } from "vitest"
import { drawLineChart } from "./line-chart.ts"

const svg = drawLineChart({
  title: "A node fills",
  circumstances: "2026-11-26, 2 CPUs",
  pods: [10, 250, 1000],
  courses: [
    { name: "ADD", reference: [80, 150, 400], ours: [25, 26, 27.5] },
    { name: "DEL", reference: [200, 260, 350], ours: [80, 81, 99.9] },
  ],
})

const lines = (side: string) =>
  [...svg.matchAll(new RegExp(`<polyline class="${side}" points="([^"]*)"`, "g"))].map(([, points = ""]) =>
    points.split(" ").map((point) => point.split(",").map(Number)),
  )
const texts = [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, content = ""]) => content)

describe("a chart of lines", () => {
  test("has points as high as its figures say, on one axis from 0 for all panels", () => {
    const [[first = []] = [], [second = []] = []] = [lines("reference"), lines("ours")]
    const heightOf = (value: number) => 330 - (226 * value) / 400
    for (const [at, value] of [80, 150, 400].entries()) expect(first[at]?.[1]).toBeCloseTo(heightOf(value), 0)
    for (const [at, value] of [25, 26, 27.5].entries()) expect(second[at]?.[1]).toBeCloseTo(heightOf(value), 0)
    expect(lines("ours")[1]?.[2]?.[1]).toBeCloseTo(heightOf(99.9), 0)
  })

  test("has the pods where their number says, within the picture", () => {
    const [[first = []] = []] = [lines("ours")]
    const [[ten = 0] = [], [some = 0] = [], [thousand = 0] = []] = first
    expect((some - ten) / (thousand - ten)).toBeCloseTo(240 / 990, 2)
    for (const [x = 0] of lines("ours").flat()) expect(x > 56 && x < 736).toBe(true)
  })

  test("says title, date, pods and figures, and in words what it shows", () => {
    expect(texts).toEqual(expect.arrayContaining(["A node fills", "2026-11-26, 2 CPUs", "ADD", "1,000", "400", "27.5"]))
    expect(svg).toContain("ADD: 80.0 ms and 25.0 ms at 10, 150 ms and 26.0 ms at 250, 400 ms and 27.5 ms at 1000")
  })
})
