import type { Carrier, DrawnPod, Group, Picture } from "./picture.ts"

/** Sizes in pixels. */
const [MARGIN, COLUMNS, WIDTH, LINE, GAP] = [24, 3, 290, 17, 14]
const PAGE = 2 * MARGIN + COLUMNS * WIDTH + (COLUMNS - 1) * GAP

const STYLE = `
svg { font: 12px ui-monospace, monospace; background: #fff; color: #1c2430 }
text { fill: currentColor } .dim { opacity: .65 } .name { font-weight: 600 } .fault { fill: #c22f2f }
rect { fill: none; stroke: #8a94a6 } rect.bad { stroke: #c22f2f; stroke-width: 2 } path { stroke: #8a94a6; fill: none }
@media (prefers-color-scheme: dark) {
  svg { background: #12161d; color: #d7dde8 } .fault { fill: #ff7b72 } rect.bad { stroke: #ff7b72 }
}`

/** Draws the node as a picture of its own: no script, nothing from elsewhere, readable in light and dark. */
export function drawSvg(picture: Picture): string {
  const parts: string[] = []
  let top = MARGIN
  const place = (drawn: { svg: string; height: number }) => {
    parts.push(`<g transform="translate(${MARGIN} ${top})">${drawn.svg}</g>`)
    top += drawn.height + GAP
  }
  for (const uplink of picture.uplinks)
    place(box(carrierLines(uplink, "uplink"), PAGE - 2 * MARGIN, uplink.faults.length > 0))
  for (const group of picture.groups) place(drawGroup(group))
  if (picture.faults.length > 0)
    place(
      box(
        picture.faults.map((fault) => line(`✗ ${fault}`, "fault")),
        PAGE - 2 * MARGIN,
        true,
      ),
    )
  const size = `width="${PAGE}" height="${top + MARGIN - GAP}" viewBox="0 0 ${PAGE} ${top + MARGIN - GAP}"`
  const title = "<title>Pod networks of a node</title>"
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">${title}<style>${STYLE}</style>${parts.join("")}</svg>\n`
}

interface Line {
  readonly text: string
  readonly style: string
}

function line(text: string, style = ""): Line {
  return { text, style }
}

function carrierLines({ name, addresses, faults }: Carrier, what: string): Line[] {
  const head = line(`${name}  ${what}`, "name")
  return [
    head,
    line(addresses.join("  ") || "no address", "dim"),
    ...faults.map((fault) => line(`✗ ${fault}`, "fault")),
  ]
}

function drawGroup(group: Group): { svg: string; height: number } {
  const head = box(
    carrierLines(group, `${group.network}, ${group.pods.length} pods`),
    PAGE - 2 * MARGIN,
    group.faults.length > 0,
  )
  const parts = [head.svg]
  let top = head.height + GAP
  for (let at = 0; at < group.pods.length; at += COLUMNS) {
    const pods = group.pods.slice(at, at + COLUMNS).map((pod) => ({ lines: podLines(pod), bad: pod.faults.length > 0 }))
    const least = Math.max(...pods.map(({ lines }) => lines.length))
    const row = pods.map(({ lines, bad }) => box(lines, WIDTH, bad, least))
    for (const [column, { svg }] of row.entries())
      parts.push(
        `<g transform="translate(${column * (WIDTH + GAP)} ${top})"><path d="M${WIDTH / 2} ${-GAP}v${GAP}"/>${svg}</g>`,
      )
    top += (row[0]?.height ?? 0) + GAP
  }
  return { svg: parts.join(""), height: top - GAP }
}

function podLines({ name, interfaces, faults }: DrawnPod): Line[] {
  const details = interfaces.flatMap(({ name: ifname, addresses, ports, limits, network }, at) => [
    line(`${ifname}${at > 0 ? ` ${network}` : ""}  ${addresses.join(" ")}`),
    ...[ports, limits].filter((list) => list.length > 0).map((list) => line(list.join(" "), "dim")),
  ])
  return [line(name, "name"), ...details, ...faults.map((fault) => line(`✗ ${fault}`, "fault"))]
}

function box(lines: readonly Line[], width: number, bad: boolean, least = 0): { svg: string; height: number } {
  const height = Math.max(lines.length, least) * LINE + 12
  const room = Math.floor((width - 20) / 7.3)
  const texts = lines.map(({ text, style }, at) => {
    const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text
    return `<text x="10" y="${(at + 1) * LINE}" class="${style}">${escaped(shown)}</text>`
  })
  return {
    svg: `<rect width="${width}" height="${height}" rx="5"${bad ? ' class="bad"' : ""}/>${texts.join("")}`,
    height,
  }
}

/** Pods' names come from outside: none may become a part of the document. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
}
