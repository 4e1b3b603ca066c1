import { isObject, type Json, oddNumber } from "../../lib/cni/json.ts"
import { documentIn } from "../document.ts"
import type { Answer } from "../record/recorded-call.ts"
import { type Names, namesIn } from "./names.ts"

/** A part of an answer that is not as it was recorded. */
export interface Difference {
  /** `exit status`, or a path such as `ips[0].address`. */
  readonly what: string
  readonly recorded: string
  readonly replayed: string
}

/** Compares answers of a plugin, called for that container: how it ended, and the document on stdout. What chance names is learned. */
export function compareAnswers(recorded: Answer, replayed: Answer, names: Names, container: string): Difference[] {
  const comparison = new Comparison(names, container)
  comparison.compareTexts("exit status", endOf(recorded), endOf(replayed))
  const [before, now] = [documentIn(recorded.stdout), documentIn(replayed.stdout)]
  if (before === undefined || now === undefined) comparison.compareTexts("stdout", recorded.stdout, replayed.stdout)
  else comparison.compare("", before, now)
  return comparison.found
}

function endOf({ exitCode, signal }: Answer): string {
  return signal ?? String(exitCode)
}

class Comparison {
  readonly found: Difference[] = []
  readonly #names: Names
  readonly #container: string

  constructor(names: Names, container: string) {
    this.#names = names
    this.#container = container
  }

  /** Compares two values at that path; an empty list or object says what none says. */
  compare(path: string, recorded: Json | undefined, replayed: Json | undefined): void {
    const [before, now] = [partsOf(recorded), partsOf(replayed)]
    if (isNothing(recorded, before) && isNothing(replayed, now)) return
    if (before && now && Array.isArray(recorded) === Array.isArray(replayed)) {
      const keys = new Set([...before.keys(), ...now.keys()])
      for (const key of keys) this.compare(joined(path, key, Array.isArray(recorded)), before.get(key), now.get(key))
    } else if (typeof recorded === "string" && typeof replayed === "string") {
      this.#compareWords(path, recorded, replayed)
    } else {
      this.compareTexts(path, printed(recorded), printed(replayed))
    }
  }

  compareTexts(what: string, recorded: string, replayed: string): void {
    if (recorded !== replayed) this.found.push({ what, recorded, replayed })
  }

  #compareWords(path: string, recorded: string, replayed: string): void {
    const words = namesIn(path, recorded, replayed)
    const alike = words ? this.#names.pair(this.#container, ...words) : recorded === replayed
    if (!alike) this.found.push({ what: path, recorded: printed(recorded), replayed: printed(replayed) })
  }
}

/** Returns the members of an object, or of a list by their numbers; undefined for other values. */
function partsOf(value: Json | undefined): Map<string, Json> | undefined {
  if (Array.isArray(value)) return new Map(value.map((item, at) => [String(at), item]))
  return value !== undefined && isObject(value) ? new Map(Object.entries(value)) : undefined
}

function isNothing(value: Json | undefined, parts: ReadonlyMap<string, Json> | undefined): boolean {
  return value === undefined || parts?.size === 0
}

function joined(path: string, key: string, inList: boolean): string {
  if (inList) return `${path}[${key}]`
  return path === "" ? key : `${path}.${key}`
}

function printed(value: Json | undefined): string {
  return value === undefined ? "nothing" : (oddNumber(value) ?? JSON.stringify(value))
}
