import { countUnseen } from "../survey/unseen.ts"
import { colours } from "../terminal.ts"
import type { Carrier, DrawnInterface, DrawnPod, Group, Picture } from "./picture.ts"

const WIDTH = 80

/** Draws the node as a tree of lines that fit a terminal of 80 columns. */
export function drawTree({ uplinks, groups, faults, unseen }: Picture): string {
  const branches = [...uplinks.map((uplink) => [carrierLine(uplink, "")]), ...groups.map(groupLines)]
  const count = groups.reduce((sum, { pods }) => sum + pods.length, 0)
  const rest = [
    ...faults.map((fault) => `${colours().red("✗")} ${fault}`),
    ...(unseen > 0 ? [countUnseen(unseen)] : []),
    `${count} ${count === 1 ? "pod" : "pods"} on ${groups.length} ${groups.length === 1 ? "network" : "networks"}`,
  ]
  return `${["node", ...branch(branches), ...rest].join("\n")}\n`
}

/** Hangs each part, a line and those below it, on the line above. */
function branch(parts: readonly (readonly string[])[]): string[] {
  return parts.flatMap(([first = "", ...below], at) => {
    const isLast = at === parts.length - 1
    return [`${isLast ? "└─ " : "├─ "}${first}`, ...below.map((line) => `${isLast ? "   " : "│  "}${line}`)]
  })
}

function carrierLine({ name, addresses, faults }: Carrier, more: string): string {
  return marked([name, addresses.join(" "), more].filter(Boolean).join("  "), faults, WIDTH - 3)
}

function groupLines(group: Group): string[] {
  const { network, pods } = group
  const width = Math.max(...pods.map(({ name }) => Math.min(name.length, 32)))
  return [carrierLine(group, network), ...branch(pods.map((pod) => podLines(pod, width)))]
}

function podLines({ name, interfaces, faults }: DrawnPod, width: number): string[] {
  const [first, ...others] = interfaces
  const head = [shortened(name, 32).padEnd(width), first?.addresses.join(" ") ?? ""].join("  ").trimEnd()
  const service = first ? serviceText(first) : ""
  const fits = `${head}  ${service}`.length <= WIDTH - 6 && faults.length === 0
  const below = others.map((other) => `${other.name}  ${other.addresses.join(" ")}  ${placeText(other)}`.trimEnd())
  if (service !== "" && !fits) below.unshift(service)
  const line = fits ? `${head}  ${service}`.trimEnd() : head
  return [marked(line, faults, WIDTH - 6), ...below.map((text) => shortened(`   ${text}`, WIDTH - 6))]
}

function serviceText({ ports, limits }: DrawnInterface): string {
  return [ports.join(" "), limits.join(" ")].filter(Boolean).join("  ")
}

function placeText(drawn: DrawnInterface): string {
  return [`${drawn.network} (${drawn.carrier})`, serviceText(drawn)].filter(Boolean).join("  ")
}

/** Returns the line, cut so that its faults fit behind it. */
function marked(line: string, faults: readonly string[], width: number): string {
  if (faults.length === 0) return shortened(line, width)
  const words = `✗ ${[...new Set(faults)].join(" ")}`
  return `${shortened(line, Math.max(width - words.length - 2, 20))}  ${colours().red(words)}`
}

function shortened(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`
}
