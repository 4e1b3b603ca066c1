/** One thing that both sides did, and the milliseconds each took. */
export interface Pair {
  readonly name: string
  readonly reference: number
  readonly ours: number
}

export interface Panel {
  readonly title: string
  readonly pairs: readonly Pair[]
}

export interface Chart {
  readonly title: string
  /** Date, machine and number of runs, without which no figure means anything. */
  readonly circumstances: string
  readonly panels: readonly Panel[]
}

/** Where the axis begins and ends; to the left are the names, to the right is room for the longest bar's figure. */
const [LEFT, RIGHT] = [150, 690]
const [TOP, PANEL_TITLE, PAIR, BAR, BELOW] = [74, 30, 32, 11, 62]

/** Has a ground of its own, so that it can be read on any page; a browser's dark mode turns the colours. */
export const STYLE = `
  .ground { fill: #ffffff; stroke: #d1d9e0 } text { fill: #1f2328 } .less { fill: #59636e }
  .grid { stroke: #d1d9e0 } .reference { fill: #8c959f } .ours { fill: #0969da }
  polyline.reference { fill: none; stroke: #8c959f; stroke-width: 2 } polyline.ours { fill: none; stroke: #0969da; stroke-width: 2 }
  text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px }
  .title { font-size: 15px; font-weight: 600 } .less { font-size: 11px } .panel { font-weight: 600 }
  .figure { font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #30363d } text { fill: #e6edf3 } .less { fill: #9198a1 }
    .figure { stroke: #0d1117 } .grid { stroke: #30363d } .reference { fill: #6e7681 } .ours { fill: #4493f8 }
    polyline.reference { fill: none; stroke: #6e7681 } polyline.ours { fill: none; stroke: #4493f8 }
  }
`

/** Returns an SVG of bars, a pair for each entry, on one axis of milliseconds that begins at 0. */
export function drawChart({ title, circumstances, panels }: Chart): string {
  const heights = panels.map(({ pairs }) => PANEL_TITLE + pairs.length * PAIR)
  const bottom = heights.reduce((sum, height) => sum + height, TOP)
  const scale = scaleFor(
    Math.max(...panels.flatMap(({ pairs }) => pairs.flatMap((pair) => [pair.reference, pair.ours]))),
  )
  const starts = heights.map((_, at) => heights.slice(0, at).reduce((sum, height) => sum + height, TOP))
  return drawing({ title, circumstances, description: describe(panels), height: bottom + BELOW }, [
    ...legend(),
    ...axis(scale, bottom),
    ...panels.flatMap((panel, at) => drawPanel(panel, starts[at] ?? TOP, scale)),
  ])
}

interface Frame {
  readonly title: string
  readonly circumstances: string
  /** What the picture shows, in words, for those who do not see it. */
  readonly description: string
  readonly height: number
}

export const WIDTH = 760

/** Returns an SVG with these elements, a title and the circumstances. */
export function drawing({ title, circumstances, description, height }: Frame, elements: readonly string[]): string {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" aria-labelledby="t d">`,
    `<title id="t">${escaped(title)}</title>`,
    `<desc id="d">${escaped(description)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    text(20, 30, title, "title"),
    ...elements,
    text(20, height - 14, circumstances, "less"),
    "</svg>",
  ].join("\n")}\n`
}

export interface Scale {
  readonly step: number
  readonly most: number
}

/** Returns an axis of four to ten round steps that holds `longest`. */
export function scaleFor(longest: number): Scale {
  const power = 10 ** Math.floor(Math.log10(longest))
  const step = [0.1, 0.2, 0.5, 1, 2].map((part) => part * power).find((size) => longest / size <= 8) ?? power
  return { step, most: Math.ceil(longest / step) * step }
}

function place(value: number, { most }: Scale): number {
  return round(LEFT + ((RIGHT - LEFT) * value) / most)
}

function axis(scale: Scale, bottom: number): string[] {
  const ticks = Array.from({ length: Math.round(scale.most / scale.step) + 1 }, (_, index) => round(index * scale.step))
  const lines = ticks.flatMap((tick) => {
    const x = place(tick, scale)
    const line = `<line class="grid" x1="${x}" x2="${x}" y1="${TOP}" y2="${bottom}"/>`
    return [line, text(x, bottom + 16, `${tick}`, "less", "middle")]
  })
  return [...lines, text((LEFT + RIGHT) / 2, bottom + 31, "milliseconds, medians; less is better", "less", "middle")]
}

export function legend(left = LEFT): string[] {
  const entries = [
    ["reference", "Go plugins v1.9.1", left],
    ["ours", "cni-ts", left + 150],
  ] as const
  return entries.flatMap(([side, name, x]) => [
    `<rect class="${side}" x="${x}" y="48" width="${BAR}" height="${BAR}"/>`,
    text(x + BAR + 6, 58, name),
  ])
}

function drawPanel({ title, pairs }: Panel, top: number, scale: Scale): string[] {
  return [
    text(20, top + 19, title, "panel"),
    ...pairs.flatMap((pair, at) => drawPair(pair, top + PANEL_TITLE + at * PAIR, scale)),
  ]
}

function drawPair(pair: Pair, top: number, scale: Scale): string[] {
  const bars = (["reference", "ours"] as const).flatMap((side, at) => {
    const [value, y] = [pair[side], top + at * (BAR + 1)]
    const end = place(value, scale)
    const bar = `<rect class="${side}" x="${LEFT}" y="${y}" width="${round(end - LEFT)}" height="${BAR}"/>`
    return [bar, text(end + 5, y + 10, figure(value), "figure")]
  })
  return [text(LEFT - 10, top + BAR + 5, pair.name, "", "end"), ...bars]
}

export function text(x: number, y: number, content: string, kind = "", anchor = "start"): string {
  return `<text x="${x}" y="${y}"${kind && ` class="${kind}"`} text-anchor="${anchor}">${escaped(content)}</text>`
}

/** Returns it as the tables do. */
export function figure(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0)
}

/** Says in words what the bars show, for those who do not see them. */
function describe(panels: readonly Panel[]): string {
  const said = panels.flatMap(({ title, pairs }) =>
    pairs.map(({ name, reference, ours }) => `${title} ${name}: ${figure(reference)} ms and ${figure(ours)} ms`),
  )
  return `Go plugins and cni-ts. ${said.join("; ")}.`
}

export function round(value: number): number {
  return Math.round(value * 10) / 10
}

export function escaped(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
