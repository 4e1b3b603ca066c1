import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { Ruleset } from "../../survey/ruleset.ts"
import { type Branch, judge, type Marking } from "./judge.ts"
import type { Packet } from "./packet.ts"

/** An end that a packet may come to in a base chain. */
export interface End {
  readonly verdict: "accept" | "drop" | "redirects" | "unknown"
  /** The chain that decides, and the rule; by its policy if there is none. */
  readonly chain: Pick<Chain, "table" | "name">
  readonly rule: FoundRule | undefined
}

/** Ends within a chain, and if the packet may also come out at its end. */
interface Passage {
  readonly ends: readonly End[]
  readonly falls: boolean
}

/** No chain leads deeper: NFT_JUMP_STACK_SIZE. */
const MAX_DEPTH = 16

/** The packet's pod, and a chain that is not looked through: it redirects. */
interface Known {
  readonly containerId: string
  readonly redirects?: string
}

/** Returns every end that the packet may come to in the base chain: one if its way is certain. */
export function walk(ruleset: Ruleset, chain: Chain, packet: Packet, known: Known): readonly End[] {
  const marking: Marking = { isMarked: marksAnywhere(ruleset, chain, packet) ? "maybe" : false }
  const { ends, falls } = pass({ ruleset, packet, marking, ...known }, chain, 0)
  return falls ? [...ends, { verdict: chain.base?.policy ?? "accept", chain, rule: undefined }] : ends
}

interface Way extends Known {
  readonly ruleset: Ruleset
  readonly packet: Packet
  readonly marking: Marking
}

function pass(way: Way, chain: Pick<Chain, "table" | "name">, depth: number): Passage {
  const ends: End[] = []
  if (chain.name === way.redirects) return { ends: [{ verdict: "redirects", chain, rule: undefined }], falls: false }
  if (depth > MAX_DEPTH) return { ends: [{ verdict: "unknown", chain, rule: undefined }], falls: true }
  let falls = false
  for (const rule of way.ruleset.rulesFor(chain, way.containerId)) {
    for (const branch of judge(way.ruleset, chain.table, rule, way.packet, way.marking)) {
      if (branch.holds === false) continue
      const { passage, goesOn } = follow(way, chain, rule, branch, depth)
      ends.push(...passage.ends)
      falls ||= passage.falls
      if (branch.holds === true && !goesOn) return { ends, falls }
    }
  }
  return { ends, falls: true }
}

/** Follows one branch of a rule: where it ends, if it leaves the chain, and if the next rule may be next. */
function follow(
  way: Way,
  chain: Pick<Chain, "table" | "name">,
  rule: FoundRule,
  { action }: Branch,
  depth: number,
): { passage: Passage; goesOn: boolean } {
  if (action === "return") return { passage: { ends: [], falls: true }, goesOn: false }
  if (action === "continues" || action === "marks") return { passage: { ends: [], falls: false }, goesOn: true }
  if (typeof action === "string")
    return { passage: { ends: [{ verdict: action, chain, rule }], falls: false }, goesOn: false }
  const name = "jump" in action ? action.jump : action.goto
  const inside = pass(way, { table: chain.table, name }, depth + 1)
  if ("goto" in action) return { passage: inside, goesOn: false }
  return { passage: { ends: inside.ends, falls: false }, goesOn: inside.falls }
}

/** Says if another chain on the packet's way may mark it: nobody knows how then. */
function marksAnywhere(ruleset: Ruleset, chain: Chain, { family }: Packet): boolean {
  const others = new Set([
    ...ruleset.chainsAt("prerouting", family),
    ...ruleset.chainsAt(chain.base?.hook ?? "forward", family),
  ])
  for (const other of others)
    if (other !== chain && other.base?.type === "filter" && ruleset.rulesOf(other).length > 0) return true
  return false
}
