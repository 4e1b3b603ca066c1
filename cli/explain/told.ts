import type { Fields } from "../../lib/cni/fields.ts"

/** A command, word by word: the program first. */
export type Words = readonly string[]

/** Names what a message is about, in the network namespace that it was spoken in. */
export interface Naming {
  /** Returns the name of the link of that index. */
  readonly link: (index: number) => string
  /** Returns true if there is no route to that destination yet, in words; from then on there is one. */
  readonly isFirstRoute: (destination: string) => boolean
  /** The other namespace, for the word behind `netns`. */
  readonly other: string
  /** Returns the node's number of a rule by that of its copy; undefined if the rule is none of the node's. */
  readonly handle: (table: string, copy: string) => string | undefined
  /** Ticks of the packet scheduler in a microsecond. */
  readonly ticks: number
}

/** Reports that a message asks for something that the commands have no words for. */
export class Untold extends Error {}

/** Returns the object at that key. Throws Untold if it is missing, or has a key that is not among those known. */
export function within(fields: Fields, key: string, known?: readonly string[]): Fields {
  const inside = fields.fields(key)
  if (!inside) throw new Untold(`no ${key} in a message`)
  const keys = [...(fields.record(key, () => true)?.keys() ?? [])]
  const other = known && keys.find((each) => !known.includes(each))
  if (other !== undefined) throw new Untold(`${other} in a message`)
  return inside
}

/** Returns the attributes of a message. Throws Untold if one has no word here. */
export function attributesOf(message: Fields, known: readonly string[]): Fields {
  return within(message, "attributes", known)
}

/** Returns the words, and the value behind them, if there is a value. */
export function given(words: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [...words.split(" "), String(value)]
}

/** Returns the command that sets the sysctl, whose name has slashes. */
export function sysctlWords(name: string, value: string): Words {
  return ["sysctl", "-qw", `${name.includes(".") ? name : name.replaceAll("/", ".")}=${value}`]
}
