import { invalidArgs } from "./errors.ts"

/**
 * Reads the keys in `known` of CNI_ARGS (`K=V;K2=V2`).
 * An unknown key, or a pair without exactly one `=`, is refused with code 4, unless IgnoreUnknown (1 or true) allows unknown keys.
 */
export function parseArgs<Key extends string>(text: string, known: readonly Key[]): Partial<Record<Key, string>> {
  if (text === "") return {}
  const pairs = text.split(";").map(splitPair)
  const ignoreUnknown = pairs.filter(([key]) => key === "IgnoreUnknown").map(([, value]) => readIgnoreUnknown(value))
  const values: Partial<Record<Key, string>> = {}
  const unknown: string[] = []
  for (const [key, value] of pairs) {
    const match = known.find((name) => name === key)
    if (match) values[match] = value
    else if (key !== "IgnoreUnknown") unknown.push(`${key}=${value}`)
  }
  if (unknown.length > 0 && !ignoreUnknown.at(-1)) {
    throw invalidArgs(
      `unknown args [${unknown.map((pair) => JSON.stringify(pair)).join(" ")}]`,
      "set IgnoreUnknown=1 in CNI_ARGS to have them ignored",
    )
  }
  return values
}

function splitPair(pair: string): [string, string] {
  const parts = pair.split("=")
  if (parts.length !== 2)
    throw invalidArgs(
      `invalid pair ${JSON.stringify(pair)}`,
      "the runtime has to send KEY=VALUE pairs, with ; between them",
    )
  return [parts[0] ?? "", parts[1] ?? ""]
}

function readIgnoreUnknown(value: string): boolean {
  const answer = value.toLowerCase()
  if (answer === "1" || answer === "true") return true
  if (answer === "0" || answer === "false") return false
  throw invalidArgs(`IgnoreUnknown is ${JSON.stringify(value)}, not 0, 1, true or false`)
}
