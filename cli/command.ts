/** Exit statuses: what was asked is done, cannot be done, or was not understood. */
export const [DONE, FAILED, MISUSED] = [0, 1, 2]

/** Exit statuses of commands that look at the node: nothing is wrong, something is, or there is no telling. */
export const [HEALTHY, FINDINGS, BLIND] = [0, 1, 2]

/** One of the things that `cni-ts` does. */
export interface Command {
  /** `install [DIR]` */
  readonly usage: string
  /** One line. */
  readonly purpose: string
  /** The rest of `--help`. */
  readonly help: string
  readonly minArguments: number
  readonly maxArguments: number
  /** Options beside the arguments, each by its name: `--yes`, or `-o` if it is followed by a value. */
  readonly options?: Readonly<Record<string, "flag" | "value">>
  /** The exit status if it throws: FAILED, unless that would say that something is wrong with the node. */
  readonly unable?: number
  /** Does it, and returns the exit status. Throws Unusable, or what the layers below throw, if it cannot be done. */
  readonly run: (args: readonly string[], options: Options) => number
}

/** The options that were given, each with its value; a flag has the empty one. */
export type Options = ReadonlyMap<string, string>

/** Reports why a command cannot do what it was asked to. */
export class Unusable extends Error {}

export interface CommandLine {
  readonly args: readonly string[]
  readonly options: Options
}

/** Splits the words behind the command's name; undefined if they are not what it takes. */
export function readCommandLine(command: Command, words: readonly string[]): CommandLine | undefined {
  const { options: known = {}, minArguments, maxArguments } = command
  const [args, options] = [[] as string[], new Map<string, string>()]
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ""
    const kind = Object.hasOwn(known, word) ? known[word] : undefined
    if (kind === undefined && word.startsWith("-")) return undefined
    if (kind === undefined) args.push(word)
    else if (kind === "flag") options.set(word, "")
    else if (++at === words.length) return undefined
    else options.set(word, words[at] ?? "")
  }
  return args.length >= minArguments && args.length <= maxArguments ? { args, options } : undefined
}
