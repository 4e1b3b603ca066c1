import { parseMac } from "../../lib/ip/mac.ts"
import { networkOf, parsePrefix, samePrefix } from "../../lib/ip/prefix.ts"

interface Pair {
  readonly owner: string
  readonly recorded: string
  readonly replayed: string
}

/**
 * Words for what is called otherwise here than where it was recorded: MAC addresses and host ends of veth pairs that chance has named, addresses that
 * were free there. The same recorded word always stands for the same word here, for as long as its container lives.
 */
export class Names {
  #pairs: Pair[] = []

  /** Notes that the words stand for each other. Returns false if one of them stands for something else already. */
  pair(owner: string, recorded: string, replayed: string): boolean {
    if (this.#pairs.some((pair) => (pair.recorded === recorded) !== (pair.replayed === replayed))) return false
    this.#pairs.push({ owner, recorded, replayed })
    return true
  }

  /** Forgets the words of a container that is gone: its addresses may be given to others. */
  forget(owner: string): void {
    this.#pairs = this.#pairs.filter((pair) => pair.owner !== owner)
  }

  /** The words by which to replace recorded ones. */
  get replacements(): Map<string, string> {
    return new Map(this.#pairs.map(({ recorded, replayed }) => [recorded, replayed]))
  }
}

/** Returns the two words without what both have to have in common; undefined if they cannot be two names for one thing. */
export function namesIn(path: string, recorded: string, replayed: string): [string, string] | undefined {
  if (parseMac(recorded) && parseMac(replayed)) return [recorded, replayed]
  if (/^interfaces\[\d+\]\.name$/.test(path)) return [recorded, replayed]
  const [a, b] = [parsePrefix(recorded), parsePrefix(replayed)]
  if (a && b && samePrefix(networkOf(a), networkOf(b))) return [withoutLength(recorded), withoutLength(replayed)]
  return undefined
}

function withoutLength(prefix: string): string {
  return prefix.slice(0, prefix.indexOf("/"))
}
