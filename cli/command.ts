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
  /** Does it. Throws Unusable or SystemError if it cannot be done. */
  readonly run: (args: readonly string[]) => void
}

/** Reports why a command cannot do what it was asked to. */
export class Unusable extends Error {}
