import { ifnameProblem } from "../../../lib/cni/environment.ts"
import { type CniError, invalidConfig } from "../../../lib/cni/errors.ts"
import { type Family, parseAddress } from "../../../lib/ip/address.ts"
import { hostPrefix, networkOf, type Prefix, parsePrefix } from "../../../lib/ip/prefix.ts"
import type { IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"

/** The part of a rule that limits the packets that are mapped. */
export type IptablesConditions = {
  -readonly [Key in
    | "source"
    | "notSource"
    | "destination"
    | "notDestination"
    | "fromInterface"
    | "notFromInterface"
    | "marked"]?: IptablesRule[Key]
}

const KNOWN =
  "known are [!] -s|-d ADDRESS[/LENGTH], [!] -i NAME and -m mark --mark BITS/BITS, each once, one after the other"

const OPTIONS: Readonly<Record<string, "source" | "destination" | "fromInterface">> = {
  "-s": "source",
  "--src": "source",
  "--source": "source",
  "-d": "destination",
  "--dst": "destination",
  "--destination": "destination",
  "-i": "fromInterface",
  "--in-interface": "fromInterface",
}

const NEGATED = { source: "notSource", destination: "notDestination", fromInterface: "notFromInterface" } as const

/** Reads the value of `conditionsV4` or `conditionsV6` in the words of iptables; throws code 7 for a word that is not understood. */
export function readIptablesConditions(key: string, text: string, family: Family): IptablesConditions {
  const words = text.split(/\s+/).filter((word) => word !== "")
  const unknown = (word: string) => invalidConfig(key, `cannot use ${JSON.stringify(word.slice(0, 64))}`, KNOWN)
  const next = (): string => {
    const word = words.shift()
    if (word === undefined) throw invalidConfig(key, "a condition breaks off", KNOWN)
    return word
  }
  const conditions: IptablesConditions = {}
  while (words.length > 0) readOne(conditions, next, family, unknown)
  return conditions
}

function readOne(
  conditions: IptablesConditions,
  next: () => string,
  family: Family,
  unknown: (word: string) => CniError,
): void {
  const word = next()
  const not = word === "!"
  const option = not ? next() : word
  if (option === "-m" && !not) {
    readMark(conditions, next, unknown)
    return
  }
  const field = OPTIONS[option]
  if (!field || conditions[field] !== undefined || conditions[NEGATED[field]] !== undefined) throw unknown(option)
  const value = next()
  if (field === "fromInterface") {
    if (ifnameProblem(value) || value.endsWith("+")) throw unknown(value)
    conditions[not ? NEGATED[field] : field] = value
    return
  }
  const prefix = prefixIn(value, family)
  if (!prefix) throw unknown(value)
  conditions[not ? NEGATED[field] : field] = prefix
}

function readMark(conditions: IptablesConditions, next: () => string, unknown: (word: string) => CniError): void {
  for (const wanted of ["mark", "--mark"]) {
    const word = next()
    if (word !== wanted || conditions.marked !== undefined) throw unknown(word)
  }
  const text = next()
  const [mark = Number.NaN, mask, more] = text.split("/").map(numberIn)
  if (!(mark <= 0xffffffff) || mark !== mask || more !== undefined) throw unknown(text)
  conditions.marked = mark
}

function numberIn(text: string): number {
  return /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN
}

function prefixIn(text: string, family: Family): Prefix | undefined {
  const address = parseAddress(text)
  const prefix = parsePrefix(text) ?? (address && hostPrefix(address))
  return prefix?.address.family === family && prefix.length > 0 ? networkOf(prefix) : undefined
}
