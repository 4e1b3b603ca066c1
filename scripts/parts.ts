import { drawing, figure, round, scaleFor, text } from "./chart.ts"

/** The milliseconds of each part of a call, by the part's name; all calls have the same parts. */
export type Parts = ReadonlyMap<string, number>

/** One for each part; each can be read on a light and on a dark ground. */
const COLOURS = ["#0969da", "#bf8700", "#cf222e", "#2da44e", "#8250df", "#6e7781"]
const [LEFT, RIGHT, LEGEND, TOP, BAR, STEP] = [80, 700, 50, 100, 24, 36]

/** Returns an SVG of one bar for each call, made of its parts. */
export function drawParts(title: string, circumstances: string, calls: ReadonlyMap<string, Parts>): string {
  const names = [...([...calls.values()][0]?.keys() ?? [])]
  const { most } = scaleFor(Math.max(...[...calls.values()].map(sum)))
  const bars = [...calls].flatMap(([name, parts], at) => {
    const y = TOP + at * STEP
    return [text(LEFT - 10, y + 16, name, "", "end"), ...drawBar(parts, y, (RIGHT - LEFT) / most)]
  })
  const said = [...calls].map(([name, parts]) => `${name}: ${[...parts].map(inWords).join(", ")}`)
  const height = TOP + calls.size * STEP + 50
  const description = `Milliseconds. ${said.join("; ")}.`
  return drawing({ title, circumstances, description, height }, [...names.flatMap(drawKey), ...bars])
}

function sum(parts: Parts): number {
  return [...parts.values()].reduce((all, part) => all + part, 0)
}

function inWords([name, time]: readonly [string, number]): string {
  return `${name} ${time.toFixed(2)}`
}

function drawKey(name: string, at: number): string[] {
  const [x, y] = [LEFT + (at % 3) * 200, LEGEND + Math.floor(at / 3) * 20]
  return [
    `<rect x="${x}" y="${y - 10}" width="11" height="11" style="fill:${COLOURS[at]}"/>`,
    text(x + 17, y, name, "less"),
  ]
}

function drawBar(parts: Parts, y: number, unit: number): string[] {
  let x = LEFT
  const boxes = [...parts.values()].map((time, at) => {
    const box = `<rect x="${round(x)}" y="${y}" width="${round(time * unit)}" height="${BAR}" style="fill:${COLOURS[at]}"/>`
    x += time * unit
    return box
  })
  return [...boxes, text(round(x) + 6, y + 16, `${figure(sum(parts))} ms`, "figure")]
}
