import { ifnameProblem } from "../../lib/cni/environment.ts"
import { type CniError, invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import { type Address, type Family, parseAddress } from "../../lib/ip/address.ts"
import { hostPrefix, networkOf, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import type { Match } from "./packet-match.ts"

const KNOWN =
  "known are ip|ip6 saddr|daddr [!=] ADDRESS[/LENGTH], iifname [!=] NAME and meta mark [& MASK] [!=] NUMBER, one after the other"

/** The conditions of one family, which limit the packets that are mapped, as the configuration has them. */
export interface GivenConditions {
  readonly family: Family
  /** `conditionsV4` or `conditionsV6` */
  readonly key: string
  readonly text: string
  /** The backend in whose words they are, as the Go plugin recognizes it. */
  readonly backend: "iptables" | "nftables"
}

/** Returns the conditions of the family, or undefined if there are none. */
export function givenConditions(fields: Fields, family: Family): GivenConditions | undefined {
  const key = `conditionsV${family}`
  const text = fields.has(key) ? fields.strings(key).join(" ").trim() : ""
  if (text === "") return undefined
  return { family, key, text, backend: text.startsWith("-") || text.startsWith("!") ? "iptables" : "nftables" }
}

/** Reads conditions in the syntax of nft; none if they are options of iptables. Throws code 7 for a word that is not understood. */
export function readConditions(given: GivenConditions | undefined): Match[] {
  return given?.backend === "nftables" ? new ConditionParser(given).conditions() : []
}

class ConditionParser {
  readonly #key: string
  readonly #family: Family
  readonly #words: string[]

  constructor({ key, text, family }: GivenConditions) {
    this.#key = key
    this.#family = family
    this.#words = text.split(/\s+/).filter((word) => word !== "")
  }

  conditions(): Match[] {
    const conditions: Match[] = []
    while (this.#words.length > 0) conditions.push(this.#condition())
    return conditions
  }

  #condition(): Match {
    const word = this.#next()
    if (word === "ip" || word === "ip6") return this.#address(word)
    const field = word === "meta" ? this.#next() : word
    if (field === "iifname") return { field, not: this.#not(), name: this.#name() }
    if (field === "mark") return this.#mark()
    throw this.#unknown(field)
  }

  #address(word: string): Match {
    if (word !== (this.#family === 4 ? "ip" : "ip6")) throw this.#unknown(word)
    const field = this.#next()
    if (field !== "saddr" && field !== "daddr") throw this.#unknown(field)
    return { field, not: this.#not(), prefix: this.#prefix() }
  }

  #prefix(): Prefix {
    const word = this.#next()
    const prefix = parsePrefix(word) ?? hostPrefixOf(parseAddress(word))
    if (prefix?.address.family !== this.#family || prefix.length === 0) throw this.#unknown(word)
    return networkOf(prefix)
  }

  #name(): string {
    const word = this.#next()
    const name = word.length > 1 && word.startsWith('"') && word.endsWith('"') ? word.slice(1, -1) : word
    if (ifnameProblem(name) || /["*{}]/.test(name)) throw this.#unknown(word)
    return name
  }

  #mark(): Match {
    const masked = this.#words[0] === "&" || this.#words[0] === "and"
    if (masked) this.#next()
    const mask = masked ? this.#number() : 0xffffffff
    return { field: "mark", mask, not: this.#not(), mark: this.#number() }
  }

  #number(): number {
    const word = this.#next()
    const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(word) ? Number(word) : Number.NaN
    if (!(number <= 0xffffffff)) throw this.#unknown(word)
    return number
  }

  #not(): boolean {
    const [word = ""] = this.#words
    if (["==", "eq", "!=", "ne"].includes(word)) this.#words.shift()
    return word === "!=" || word === "ne"
  }

  #next(): string {
    const word = this.#words.shift()
    if (word === undefined) throw invalidConfig(this.#key, "a condition breaks off", KNOWN)
    return word
  }

  #unknown(word: string): CniError {
    return invalidConfig(this.#key, `cannot use ${JSON.stringify(word.slice(0, 64))}`, KNOWN)
  }
}

function hostPrefixOf(address: Address | undefined): Prefix | undefined {
  return address && hostPrefix(address)
}
