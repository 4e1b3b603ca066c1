import { CniError, code } from "./errors.ts"

/** The versions of the CNI specification there are, oldest first. */
export const versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const
export type Version = (typeof versions)[number]

/** The newest version; results are held in its form inside the plugins. */
export const latest: Version = "1.1.0"

/**
 * Orders two versions by their one to three numbers, missing ones being 0. Empty means 0.1.0.
 * Throws code 6 for anything else.
 */
export function compareVersions(a: string, b: string): number {
  const left = numbersOf(a)
  const right = numbersOf(b)
  for (const index of [0, 1, 2]) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const places: ReadonlyMap<string, number> = new Map(versions.map((version, place) => [version, place]))

/** Says if `version` is `least` or newer. Versions that are known, which nearly all are, need not be parsed. */
export function atLeast(version: string, least: Version): boolean {
  const place = places.get(version)
  const floor = places.get(least)
  return place === undefined || floor === undefined ? compareVersions(version, least) >= 0 : place >= floor
}

function numbersOf(version: string): number[] {
  const parts = (version === "" ? "0.1.0" : version).split(".")
  if (parts.length > 3 || !parts.every((part) => /^\d{1,9}$/.test(part))) {
    const details = `known: ${versions.join(" ")}`
    throw new CniError(code.decoding, `cannot decode cniVersion: ${JSON.stringify(version)} is not a version`, details)
  }
  return parts.map(Number)
}

/** Returns the supported version spelled exactly like `asked` (empty: 0.1.0); throws code 1 if there is none. */
export function matchVersion(asked: string, supported: readonly Version[]): Version {
  const wanted = asked === "" ? "0.1.0" : asked
  if (supported.includes(wanted as Version)) return wanted as Version
  const list = supported.map((version) => JSON.stringify(version)).join(" ")
  throw new CniError(
    code.incompatibleVersion,
    "incompatible CNI versions",
    `config is ${JSON.stringify(wanted)}, plugin supports [${list}]`,
  )
}
