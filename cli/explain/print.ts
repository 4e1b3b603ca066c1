import { Fields, readFields } from "../../lib/cni/fields.ts"
import { isObject, type Json } from "../../lib/cni/json.ts"
import type { Colours } from "../terminal.ts"
import type { Failure, Part, Rehearsal, Wish } from "./rehearsal.ts"
import { scriptOf, wrapped } from "./shell.ts"

/** A rehearsal that is over. */
export interface Explanation {
  readonly wish: Wish
  /** The name by which `ip` knows the pod's namespace, and if it was made for the rehearsal alone. */
  readonly netns: string
  readonly isNewPod: boolean
  readonly rehearsal: Rehearsal
  /** The parts of the node that were not there in the rehearsal. */
  readonly lacks: readonly string[]
}

/** Returns a shell script that does what the ADD would do, and ends with what would come of it. */
export function printScript(explanation: Explanation, { green, red, yellow }: Colours): string {
  const { wish, netns, isNewPod, rehearsal, lacks } = explanation
  const colour = rehearsal.failure ? red : rehearsal.unknown === undefined ? green : yellow
  const head = [
    `# ADD of ${wish.list.name}: interface ${wish.ifname} of container ${wish.containerId}, as the node is now`,
    ...(isNewPod ? [`# ${netns} stands for the pod's network namespace: ip netns add ${netns}`] : []),
    ...lacks.map((line) => `# not copied: ${line}`),
  ]
  const lines = [...head, ...rehearsal.parts.flatMap((part) => ["", ...partLines(part, netns)]), ""]
  return [
    ...lines.map(wrapped),
    ...wrapped(`# ${verdict(rehearsal, wish)}`)
      .split("\n")
      .map(colour),
    "",
  ].join("\n")
}

function partLines({ type, maker, steps, difference, says, failed }: Part, netns: string): string[] {
  if (failed) return [`# ${type} fails, and takes back what it did`, ...says.map((line) => `# says: ${line}`)]
  const lines = scriptOf(steps, netns)
  const isTold = maker === "cni-ts"
  return [
    `# ${type}${isTold ? "" : ", which does not tell its steps: files, then how links, addresses, routes and rules differ"}`,
    ...lines,
    ...(lines.length + difference.length === 0 ? ["# changes nothing"] : []),
    ...difference.map((line) => `# ${line}`),
    ...says.map((line) => `# says: ${line}`),
  ]
}

/** Says what the ADD would end with, and what mends an error. */
function verdict({ result, failure, unknown }: Rehearsal, wish: Wish): string {
  if (failure) return `it would fail: ${describe(failure)}`
  if (unknown !== undefined) return `what comes of it cannot be told: ${unknown}`
  return `it would work: ${addressesIn(result ?? null).join(", ") || `${wish.ifname} gets no address`}`
}

function describe({ type, code, msg, details }: Failure): string {
  return `${type}${code === 0 ? "" : ` (code ${code})`}: ${msg}${details === "" ? "" : `; ${details}`}`
}

function addressesIn(result: Json): string[] {
  if (!isObject(result)) return []
  const ips = new Fields(result).list("ips", readFields) ?? []
  return ips.map((ip) => {
    const gateway = ip.string("gateway")
    return `${ip.string("address")}${gateway === undefined ? "" : ` (gateway ${gateway})`}`
  })
}

/** Returns the same for programs. */
export function printJson({ wish, netns, rehearsal, lacks }: Explanation): string {
  const { parts, result, failure, unknown } = rehearsal
  const outcome = failure ? "fails" : unknown === undefined ? "works" : "unknown"
  const { list, containerId, ifname } = wish
  const plugins = parts.map(({ steps, ...part }) => ({ ...part, steps: scriptOf(steps, netns) }))
  const document = { outcome, network: list.name, containerId, ifname, netns, lacks, plugins, result, failure, unknown }
  return `${JSON.stringify(document, null, 2)}\n`
}
