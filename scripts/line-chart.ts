import { drawing, figure, legend, round, type Scale, scaleFor, text, WIDTH } from "./chart.ts"

/** What one call took on nodes with more and more pods, in milliseconds. */
export interface Course {
  readonly name: string
  readonly reference: readonly number[]
  readonly ours: readonly number[]
}

export interface LineChart {
  readonly title: string
  /** Date, machine and number of runs, without which no figure means anything. */
  readonly circumstances: string
  /** The pods at which all courses were measured. */
  readonly pods: readonly number[]
  readonly courses: readonly Course[]
}

const SIDES = ["reference", "ours"] as const
const [LEFT, RIGHT, TOP, BOTTOM, GAP] = [56, 736, 104, 330, 36]
const HEIGHT = 400

/** Returns an SVG of lines, a panel for each course, on one axis of milliseconds that begins at 0. */
export function drawLineChart({ title, circumstances, pods, courses }: LineChart): string {
  const scale = scaleFor(Math.max(...courses.flatMap(({ reference, ours }) => [...reference, ...ours])))
  const width = (RIGHT - LEFT - GAP * (courses.length - 1)) / courses.length
  const description = courses.map((course) => describe(course, pods)).join("; ")
  return drawing({ title, circumstances, description: `Go plugins and cni-ts. ${description}.`, height: HEIGHT }, [
    ...legend(LEFT),
    ...axis(scale),
    ...courses.flatMap((course, at) => drawCourse(course, pods, scale, { left: LEFT + at * (width + GAP), width })),
    text(
      WIDTH / 2,
      BOTTOM + 36,
      "pods on the node, with this one; milliseconds, medians; less is better",
      "less",
      "middle",
    ),
  ])
}

function height(value: number, { most }: Scale): number {
  return round(BOTTOM - ((BOTTOM - TOP) * value) / most)
}

function axis(scale: Scale): string[] {
  const ticks = Array.from({ length: Math.round(scale.most / scale.step) + 1 }, (_, index) => round(index * scale.step))
  return ticks.flatMap((tick) => {
    const y = height(tick, scale)
    return [
      `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/>`,
      text(LEFT - 6, y + 4, `${tick}`, "less", "end"),
    ]
  })
}

interface Place {
  readonly left: number
  readonly width: number
}

function drawCourse(course: Course, pods: readonly number[], scale: Scale, { left, width }: Place): string[] {
  const most = Math.max(...pods)
  const xs = pods.map((count) => round(left + 14 + ((width - 28) * count) / most))
  const marks = pods.map((count, at) => text(xs[at] ?? left, BOTTOM + 16, count.toLocaleString("en"), "less", "middle"))
  const lines = SIDES.flatMap((side) => {
    const points = course[side].map((value, at) => [xs[at] ?? left, height(value, scale)] as const)
    return [
      `<polyline class="${side}" points="${points.map((point) => point.join(",")).join(" ")}"/>`,
      ...points.map(([x, y], at) => text(x, y - 7, figure(course[side][at] ?? 0), "figure", "middle")),
    ]
  })
  return [text(left, TOP - 14, course.name, "panel"), ...marks, ...lines]
}

function describe({ name, reference, ours }: Course, pods: readonly number[]): string {
  const at = pods.map((count, index) => {
    const [theirs = 0, own = 0] = [reference[index], ours[index]]
    return `${figure(theirs)} ms and ${figure(own)} ms at ${count}`
  })
  return `${name}: ${at.join(", ")}`
}
